"""How long a clip is: frames and frames per second, read once per file."""

from __future__ import annotations

import functools
from pathlib import Path

from studio.video_files import open_video


def clip_length(path: Path) -> tuple[int, float]:
    """(frames, fps) of a video. ValueError when it cannot be read."""
    return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _read(path: Path, changed: int) -> tuple[int, float]:
    with open_video(path) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 0)
        frames = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
    if not frames or not rate:
        raise ValueError(f"{path.name} does not say how many frames it has.")
    return frames, rate
