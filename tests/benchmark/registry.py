"""What the shared registry saves and costs, as ratios inside one run, with the five pocket methods on a CPU.

    OMP_NUM_THREADS=1 python -m tests.benchmark.registry [--jobs 200]

`--jobs`: of eight users together, a tenth of them stopped; 200 take a quarter of an hour on two quiet cores, 0 leaves
them out. Times mean something on a quiet machine only, bytes and pixels always. Each row: what, measured, target. The
last line is one JSON object. Networks of full size: `registry_gpu.py`.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers import UNetMotionModel

from models.method import REPOSITORY, Recipe
from studio.presets import Preset, load_presets
from studio.registry import Registry
from studio.registry.ledger import Candidate, choose_evictions
from tests.benchmark import registry_jobs

USERS = 8
CANCELLED = 0.1


def shared_bytes(presets: list[Preset]) -> tuple[int, int]:
    """Bytes of all methods resident in one registry, and of five pipelines with tensors of their own.

    What a job makes for itself, MCM's student and CustomVideoX's adapter, is in neither.
    """
    together: Any = Registry("cpu")
    apart = 0
    for preset in presets:
        with together.acquire(preset.recipe) as pipeline:
            modules = [part.shell.module for part in together._leases[id(pipeline)].parts]
            tensors = {id(t): t for module in modules for t in (*module.parameters(), *module.buffers())}
            apart += sum(tensor.nbytes for tensor in tensors.values())
    return together.status()["bytes"], apart


def decision_milliseconds(components: int = 100) -> float:
    """Median time to decide what goes when half of all bytes are needed."""
    draw = random.Random(0)
    crowd = [
        Candidate(n, draw.randint(1, 1000), draw.random(), draw.choice([None, 0, 3, 9]), draw.randint(0, 999))
        for n in range(components)
    ]
    needed = sum(candidate.bytes for candidate in crowd) // 2
    return 1000 * statistics.median(timed(lambda: choose_evictions(crowd, needed)) for _ in range(50))


def switch_and_reload(preset: Preset, rounds: int = 15) -> tuple[float, float]:
    """Median seconds to take a method whose weights are in memory, and to take it from disk."""
    registry = Registry("cpu")
    with registry.acquire(preset.recipe):
        pass
    warm = [timed(lambda: take(registry, preset)) for _ in range(rounds)]
    cold = []
    for _ in range(5):
        registry.unload()
        cold.append(timed(lambda: take(registry, preset)))
    return statistics.median(warm), statistics.median(cold)


def step_overhead(preset: Preset, rounds: int = 60) -> tuple[float, bool]:
    """A network call inside a job over that of the network its own library loads, in turns; and whether equal in bits.

    `preset` is of MCM, whose teacher is diffusers' own class.
    """
    bare: Any = UNetMotionModel.from_pretrained(REPOSITORY / preset.weights.unet, torch_dtype=torch.float32).eval()
    channels, size = bare.config.in_channels, bare.config.sample_size
    sample = torch.randn(2, channels, bare.config.motion_max_seq_length, size, size)
    text = torch.randn(2 * sample.shape[2], 16, bare.config.cross_attention_dim)
    ratios = []
    with Registry("cpu").acquire(preset.recipe) as pipeline, torch.inference_mode():
        networks = {"ours": pipeline.unet, "bare": bare}  # pyright: ignore[reportAttributeAccessIssue]
        outputs = {}
        for index in range(rounds + 5):
            seconds = {}
            for name in ("ours", "bare") if index % 2 else ("bare", "ours"):
                start = time.process_time()
                outputs[name] = networks[name](sample, 500, text, return_dict=False)[0]
                seconds[name] = time.process_time() - start
            ratios.append(seconds["ours"] / seconds["bare"])
    return statistics.median(ratios[5:]), torch.equal(outputs["ours"], outputs["bare"])


def take(registry: Registry, what: Preset | Recipe) -> None:
    with registry.acquire(what.recipe if isinstance(what, Preset) else what):
        pass


def timed(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=40, help="of all users together; 0 leaves out what needs jobs")
    wanted = parser.parse_args().jobs
    presets = [preset for preset in load_presets().values() if preset.name == "pocket"]
    together, apart = shared_bytes(presets)
    little = int(apart * registry_jobs.LITTLE)
    rows: dict[str, Any] = {
        "methods": [preset.method.name for preset in presets],
        "bytes resident, shared": together,
        "bytes of independent pipelines": apart,
        "shared over independent (at most 0.70)": round(together / apart, 3),
        "200 switches, bytes (0 after; padding between ledger and device)": registry_jobs.drift(presets, little),
        "eviction among 100 components, ms (at most 1)": round(decision_milliseconds(), 3),
    }
    mcm = next(preset for preset in presets if preset.method.name == "mcm")
    overhead, equal = step_overhead(mcm)
    warm, cold = switch_and_reload(presets[0])
    rows |= {
        "warm switch, ms": round(warm * 1000, 2),
        "reload, ms": round(cold * 1000, 2),
        "reload over warm switch (at least 10)": round(cold / warm, 1),
        "step in a job over bare diffusers (at most 1.01)": round(overhead, 4),
        "the same bits as diffusers' own": equal,
    }
    if wanted:
        jobs = registry_jobs.short_jobs(presets)
        one = next(job for job in jobs if job.preset is mcm)  # a load in another thread changed its pixels elsewhere
        others = [preset for preset in presets if preset is not mcm]
        each = max(1, wanted // USERS)
        rows |= {
            "weights read by a repeat (0)": registry_jobs.readings_of_a_repeat(one),
            "24 jobs while others load: identical (24)": registry_jobs.while_loading(one, others),
            "20 jobs in 0.40 of the independent bytes (20, at most 1)": registry_jobs.little_memory(jobs, little),
            f"{USERS} users, {USERS * each} jobs (no different ones, 0 bytes left)":
                registry_jobs.crowd(jobs, USERS, each, CANCELLED, little),
        }  # fmt: skip
    for what, measured in rows.items():
        print(f"{what:70s} {measured}")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
