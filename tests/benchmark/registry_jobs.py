"""Many short jobs of the pocket methods over one registry: do they get what each would get alone?"""

from __future__ import annotations

import functools
import hashlib
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from models.method import Step, StopRequested, request_fields
from studio.presets import Preset, request_with
from studio.registry import Registry
from tests.unit.studio.counting_device import SmallMemory
from tests.unit.studio.towers import run_all

SEEDS = (1, 2)
LITTLE = 0.40  # of what independent pipelines take


class Job:
    """A short request of one method; `alone` is the digest of its frames when nothing else is going on."""

    def __init__(self, preset: Preset, seed: int, steps: int = 2) -> None:
        wanted = {"seed": seed, "num_inference_steps": steps, "num_views": 2}
        self.preset = preset
        self.request = request_with(
            preset.request, {k: v for k, v in wanted.items() if k in request_fields(preset.method.request)}
        )

    def run(self, registry: Registry, on_step: Callable[[Step], None] = lambda step: None) -> str:
        with registry.acquire(self.preset.recipe, request=self.request) as pipeline:
            clips = pipeline(self.request, on_step)
        return hashlib.sha256(b"".join(clip.frames.tobytes() for clip in clips)).hexdigest()

    @functools.cached_property
    def alone(self) -> str:
        return self.run(Registry("cpu"))


def short_jobs(presets: Sequence[Preset]) -> list[Job]:
    """Two per method."""
    jobs = [Job(preset, seed) for preset in presets for seed in SEEDS]
    for job in jobs:
        assert job.alone
    return jobs


def crowd(jobs: Sequence[Job], users: int, each: int, cancelled: float, bytes: int) -> dict[str, int]:
    """`users` at once, each with `each` jobs in random order, some stopped at their first step; counts of outcomes."""
    device = SmallMemory(bytes)
    registry = Registry(hardware=device)
    outcomes: Counter[str] = Counter(identical=0, different=0, cancelled=0)

    def user(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(each):
            job = draw.choice(jobs)
            stop = draw.random() < cancelled
            try:
                frames = job.run(registry, _stop if stop else lambda step: None)
                outcomes["identical" if frames == job.alone else "different"] += 1
            except StopRequested:
                outcomes["cancelled"] += 1

    run_all([lambda seed=seed: user(seed) for seed in range(users)], patience_seconds=7200)
    registry.unload()
    left = device.live + device.host_live + len(registry.memory.leases)
    return {**outcomes, "bytes left": left}


def while_loading(job: Job, others: Sequence[Preset], times: int = 24) -> int:
    """How many of `times` runs are what the job gives alone while other methods are loaded and unloaded."""
    registry = Registry("cpu")
    end = threading.Event()

    def load() -> None:
        while not end.is_set():
            for preset in others:
                with registry.acquire(preset.recipe):
                    pass
            registry.unload()

    loader = threading.Thread(target=load)
    loader.start()
    try:
        return sum(job.run(registry) == job.alone for _ in range(times))
    finally:
        end.set()
        loader.join()


def little_memory(jobs: Sequence[Job], bytes: int, count: int = 20) -> dict[str, Any]:
    """`count` jobs in random order on a device of `bytes`: how many are as alone, and the most that was alive."""
    device = SmallMemory(bytes)
    registry = Registry(hardware=device)
    draw = random.Random(0)
    peaks, right = [], 0
    for _ in range(count):
        job = draw.choice(jobs)
        device.peak_live = device.live
        right += job.run(registry, lambda step: peaks.append(device.peak_live)) == job.alone
        peaks.append(device.peak_live)
    return {"identical": right, "peak over limit": round(max(peaks) / bytes, 3)}


def drift(presets: Sequence[Preset], bytes: int, switches: int = 200) -> dict[str, int]:
    """Bytes that are alive after all was unloaded, and written down but not there, after random switches."""
    device = SmallMemory(bytes)
    registry = Registry(hardware=device)
    draw = random.Random(0)
    apart = 0
    for _ in range(switches):
        with registry.acquire(draw.choice(presets).recipe):
            held = sum(component["bytes"] for component in registry.status()["components"])
            apart = max(apart, abs(held - device.live))
    registry.unload()
    return {"bytes after": device.live + device.host_live, "most bytes between ledger and device": apart}


def readings_of_a_repeat(job: Job) -> int:
    """Weights read by the second of two equal requests."""
    registry = Registry("cpu")
    job.run(registry)
    before = registry.memory.fetches
    assert job.run(registry) == job.alone
    return registry.memory.fetches - before


def _stop(step: Step) -> None:
    raise StopRequested
