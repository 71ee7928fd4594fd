"""`make ray-demo`: two replicas on one machine, forty jobs of several presets, one replica killed in the middle."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from studio.events import TERMINAL, Finished, Loading, Progress
from studio.executors.ray import RayExecutor
from studio.jobs import Job, JobQueue
from studio.presets import load_presets, request_with
from studio.settings import StudioSettings

JOBS = 40
STEPS = 2


def main() -> int:
    """Run it and say what happened; 1 when a job was lost."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    start = time.monotonic()
    presets = [preset for preset in load_presets().values() if preset.name == "pocket"]
    if not presets:
        print("There is no pocket preset here to run.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        settings = StudioSettings(output_dir=Path(folder), device="cpu", executor="ray", replicas=2, threads=1)
        executor = RayExecutor(settings)
        queue = JobQueue(executor, max_queue=JOBS)
        print(f"two replicas after {time.monotonic() - start:.1f} s, {len(presets)} presets")
        submitted: list[Job] = []
        for number in range(JOBS):
            preset = presets[number % len(presets)]
            steps = {name: STEPS for name in ("num_inference_steps",) if hasattr(preset.request, name)}
            request = request_with(preset.request, steps | {"seed": secrets.randbelow(1000)})
            submitted.append(queue.submit(preset, request, "demo"))
        threading.Thread(target=_kill_one, args=(executor, submitted[JOBS // 4]), daemon=True).start()
        restarted = 0
        for job in submitted:
            events = list(job.events())
            restarted += any(isinstance(event, Loading) and "lost" in event.stage for event in events)
            print(f"{job.preset_name:24s} {type(events[-1]).__name__}", flush=True)
            assert isinstance(events[-1], TERMINAL)
        finished = sum(isinstance(job.latest, Finished) for job in submitted)
        router = executor.router
        share = router.hits / (router.hits + router.misses)
        print(f"{finished} of {JOBS} finished, {restarted} began again after a replica was killed, "
              f"{share:.0%} found their weights warm, {time.monotonic() - start:.1f} s")  # fmt: skip
        queue.close()
    return 0 if finished == JOBS else 1


def _kill_one(executor: RayExecutor, job: Job) -> None:
    """The replica that runs `job`, from outside, as a machine that fails does."""
    for event in job.events():
        if isinstance(event, Progress) and event.stage == "denoise":
            break
    replica = executor.replica_of(job.id)
    if replica is not None:
        os.kill(replica.status()["process"], signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
