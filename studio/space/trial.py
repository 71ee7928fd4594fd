"""What a Space does first, done here with a copy of the tracked files: import, open the page, run a job on ZeroGPU.

`python -m studio.space.trial page | zerogpu`, run inside the copy: no GPU is seen and the library `spaces` is absent.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> int:
    sys.modules["spaces"] = None  # type: ignore[assignment] -- importing it fails, as where it is not installed
    with tempfile.TemporaryDirectory(prefix="quintet-trial-") as folder:
        if sys.argv[1:] == ["page"]:
            return try_page(Path(folder))
        return try_zerogpu(Path(folder))


def try_page(folder: Path) -> int:
    """Import the front door and draw the page over every preset."""
    import app
    from studio.executors import make_executor
    from studio.history import History
    from studio.jobs import JobQueue
    from studio.presets import load_presets
    from studio.settings import load_settings
    from studio.ui.app import build_app

    assert callable(app.main)
    settings = load_settings(["--output-dir", str(folder)])
    presets = load_presets(settings.preset_dir, settings.method_packages)
    history = History(folder / "history.sqlite")
    jobs = JobQueue(make_executor(settings), history)
    page = build_app(presets, jobs, history)
    offered = page.get_api_info()["named_endpoints"]
    jobs.close()
    history.close()
    heavy = sorted({"torch", "diffusers"} & set(sys.modules))
    if heavy:
        print(f"opening the page imports {heavy[0]}")
        return 1
    print(f"{len(presets)} presets, {len(offered)} endpoints")
    return 0


def try_zerogpu(folder: Path) -> int:
    """Place what fits at start-up and make one short video in the emulated fork."""
    from studio.events import Failed, Finished, JobSpec
    from studio.executors.zerogpu import ZeroGpuExecutor
    from studio.presets import FAVOURITE, load_presets, request_with
    from studio.settings import load_settings
    from studio.space.emulated import Spaces

    settings = load_settings(["--output-dir", str(folder), "--device", "cpu", "--executor", "zerogpu"])
    presets = load_presets(settings.preset_dir, settings.method_packages)
    ready = [preset for preset in presets.values() if preset.name == FAVOURITE and _here(preset)]
    if not ready:
        print("no preset has its weights in the repository")
        return 1
    executor = ZeroGpuExecutor(settings, Spaces())
    executor.warm([preset.recipe for preset in ready])
    first = ready[0]
    request = request_with(first.request, {"num_inference_steps": 2})
    ended: list[Any] = []
    executor.run(JobSpec("trial", first.key, first.method.name, request, first.recipe), ended.append, lambda: False)
    placed = executor.status()["bytes"]
    executor.close()
    if not isinstance(ended[-1], Finished):
        print(ended[-1].message if isinstance(ended[-1], Failed) else "the job was stopped")
        return 1
    print(f"{len(ready)} presets placed, {placed / 1e6:.0f} MB; {first.key} made a video in the fork")
    return 0


def _here(preset: Any) -> bool:
    from studio.compare.matrix import weights_here

    return not weights_here(preset)


if __name__ == "__main__":
    sys.exit(main())
