"""`python -m studio bench`: how long this machine takes for each preset's own request, and how much memory."""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.commands import FAILED, SETTINGS_ARE_FLAGS, load
from studio.events import Event, Failed, Finished, JobSpec, Progress, StudioError
from studio.presets import Preset, did_you_mean

if TYPE_CHECKING:
    from studio.executors import Executor

ROW = "{:<24}{:>10}{:>10}{:>10}{:>10}  {}"


@dataclass(frozen=True)
class Timing:
    """Seconds of a preset's own request. `first_seconds` includes reading the weights; `next_seconds` is the median of
    the others, None when there are none; `memory_mb` the peak."""

    preset: str
    steps: int
    clip: str
    first_seconds: float
    next_seconds: float | None
    step_seconds: float | None
    memory_mb: int | None
    device: str


@dataclass
class Clock:
    """When a job's steps came."""

    steps: list[float] = field(default_factory=list)
    end: Finished | Failed | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "denoise":
            self.steps.append(time.perf_counter())
        if isinstance(event, Finished | Failed):
            self.end = event


def add(commands: Any) -> None:
    bench = commands.add_parser("bench", help="measure this machine: seconds and memory", epilog=SETTINGS_ARE_FLAGS)
    bench.add_argument("presets", nargs="*", metavar="METHOD/PRESET", help="all whose weights are here by default")
    bench.add_argument("--runs", type=int, default=3, metavar="N", help="the first reads the weights; 3 by default")
    bench.set_defaults(run=run)


def run(arguments: argparse.Namespace, rest: list[str]) -> int:
    from studio.executors import make_executor

    settings, presets = load(["--executor", "inline", *rest])
    if arguments.runs < 1:
        raise ValueError(f"--runs must be at least 1, got {arguments.runs}.")
    chosen = _chosen(arguments.presets, presets)
    print(ROW.format("preset", "first s", "next s", "a step s", "peak MB", "clip"))
    timings: list[Timing] = []
    failed = False
    for preset in chosen:
        executor = make_executor(settings)  # a new one each time, so that the first run reads the weights
        try:
            timings.append(measure(executor, preset, arguments.runs))
            print(_row(timings[-1]), flush=True)
        except StudioError as error:
            failed = True
            print(f"{preset.key}: {error}")
        finally:
            executor.close()
    print(json.dumps({"bench": "quintet", "timings": [asdict(timing) for timing in timings]}))
    return FAILED if failed else 0


def measure(executor: Executor, preset: Preset, runs: int) -> Timing:
    """Make the preset's own request `runs` times. StudioError when it fails."""
    from studio.outputs import read_settings

    seconds: list[float] = []
    steps: list[float] = []
    facts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="quintet-bench-") as folder:
        for number in range(runs):
            output = Path(folder) / f"{number}.mp4"
            id = secrets.token_urlsafe(16)
            spec = JobSpec(id, preset.key, preset.method.name, preset.request, preset.recipe, output)
            clock, start = Clock(), time.perf_counter()
            executor.run(spec, clock, lambda: False)
            seconds.append(time.perf_counter() - start)
            if not isinstance(clock.end, Finished):
                raise StudioError(*((clock.end.message, clock.end.advice) if clock.end else ("It was stopped.", "")))
            steps += [after - before for before, after in zip(clock.steps, clock.steps[1:], strict=False)]
            facts = read_settings(clock.end.paths[0]) | {"clips": len(clock.end.paths)}
    return Timing(
        preset.key, int(facts["request"].get("num_inference_steps", 0)), _clip(facts), seconds[0],
        statistics.median(seconds[1:]) if seconds[1:] else None, statistics.median(steps) if steps else None,
        facts.get("peak_memory_mb"), str(facts.get("device", "")),
    )  # fmt: skip


def _chosen(names: Sequence[str], presets: Mapping[str, Preset]) -> list[Preset]:
    from studio.compare.matrix import weights_here

    for name in names:
        if name not in presets:
            raise ValueError(f"There is no preset {name!r}. {did_you_mean(name, presets)}")
    chosen = [presets[name] for name in dict.fromkeys(names)] if names else list(presets.values())
    ready = [preset for preset in chosen if not weights_here(preset)]
    if not ready or (names and len(ready) < len(chosen)):
        raise ValueError(f"{chosen[0].key}: {next(filter(None, map(weights_here, chosen)))}")
    return ready


def _clip(facts: Mapping[str, Any]) -> str:
    several = f"{facts['clips']} x " if facts["clips"] > 1 else ""
    return f"{several}{facts['frames']} frames, {facts['request'].get('num_inference_steps', '?')} steps"


def _row(timing: Timing) -> str:
    seconds = (timing.first_seconds, timing.next_seconds, timing.step_seconds)
    told = ["-" if value is None else f"{value:.2f}" for value in seconds]
    memory = "-" if timing.memory_mb is None else str(timing.memory_mb)
    return ROW.format(timing.preset, *told, memory, f"{timing.clip}, {timing.device}")
