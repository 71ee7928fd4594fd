"""The studio as a person starts it: `python app.py` in a process of its own, on a free port, in empty folders."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import yaml

from studio.outputs import read_settings

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Studio:
    """A running server. The tab Held waits at its third step until `release` exists."""

    address: str
    process: subprocess.Popen[str]
    outputs: Path
    release: Path

    def settle(self) -> None:
        """After `release`: until no job has been held for a third of a second; queued ones have seen it then too."""
        held, quiet = self.release.with_suffix(".held"), 0
        for _ in range(300):
            quiet = 0 if held.exists() else quiet + 1
            if quiet == 10:
                return
            time.sleep(0.03)
        held.unlink(missing_ok=True)  # its worker was killed


def made(studio: Studio, method: str) -> list[tuple[dict[str, Any], np.ndarray]]:
    """(settings, frames [frames, height, width, 3]) of the clips that a method wrote, oldest first."""
    found = []
    for path in sorted(studio.outputs.glob("*.mp4")):
        settings = read_settings(path)
        if settings["method"] == method:
            with av.open(str(path)) as video:
                frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
            found.append((settings, np.stack(frames).astype(int)))
    return found


@contextmanager
def running_studio(
    folder: Path, presets: Path, packages: str = "models", more: tuple[str, ...] = ()
) -> Iterator[Studio]:
    """Start with `more` flags, wait for the line that names the address, end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = [
        "--port",
        port,
        "--output-dir",
        folder / "outputs",
        "--preset-dir",
        presets,
        "--method-packages",
        packages,
        *more,
    ]
    process = subprocess.Popen(
        [sys.executable, "app.py", *map(str, flags)],
        cwd=ROOT,
        env=os.environ | {"GRADIO_TEMP_DIR": str(folder / "gradio")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Studio(_address(process), process, folder / "outputs", folder / "release")
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def write_presets(folder: Path, release: Path) -> Path:
    """Two tabs over the fake method: Sketch is done at once, Held waits in mid-job. Sketch has a recorded example."""
    sketch = folder / "sketch"
    sketch.mkdir(parents=True)
    _record(sketch / "recorded.mp4")
    example = {
        "title": "A recorded square",
        "request": {"prompt": "a recorded square", "seed": 7},
        "video": "recorded.mp4",
    }
    quick = {"method": "sketch", "title": "Sketch", "request": {"prompt": "a red square"}, "examples": [example]}
    slow = {"prompt": "a held square", "hold_at_step": 3, "release_file": str(release)}
    held = {"method": "sketch", "title": "Held", "request": slow}
    for name, preset in (("pocket", quick), ("held", held)):
        (sketch / f"{name}.yaml").write_text(yaml.safe_dump(preset), encoding="utf-8")
    return folder


def _record(path: Path) -> None:
    frames = np.zeros((16, 64, 64, 3), np.uint8)
    for index, frame in enumerate(frames):
        frame[24:40, 2 * index : 2 * index + 16] = 200
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())


def _address(process: subprocess.Popen[str]) -> str:
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if line.startswith("Quintet is at "):
            return line.split()[3].rstrip("/")
    raise AssertionError(f"the studio ended before its page was up:\n{said}")
