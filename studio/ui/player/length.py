"""How long a clip is: frames and frames per second, read once per file."""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Iterator
from pathlib import Path

from studio.video_files import MOST_FRAMES, open_video, outer_boxes

MOST_BYTES = 4 << 20  # of an mp4's tables
MOST_FPS = 240


def clip_length(path: Path) -> tuple[int, float]:
    """(frames, fps) of a video. ValueError when it cannot be read."""
    return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _read(path: Path, changed: int) -> tuple[int, float]:
    try:
        return _from_tables(path)
    except (LookupError, OSError, struct.error, ZeroDivisionError):
        pass  # another kind of file, or one that is damaged
    with open_video(path) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 0)
        frames = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
    if not frames or not rate:
        raise ValueError(f"{path.name} does not say how many frames it has.")
    return frames, rate


def _from_tables(path: Path) -> tuple[int, float]:
    """From the tables of an mp4, which the page can read without importing FFmpeg. LookupError where they are odd."""
    with path.open("rb") as file:
        size = path.stat().st_size
        start, length = next(((at, n) for kind, at, n in outer_boxes(file, size) if kind == b"moov"), (0, 0))
        if not 0 < length <= MOST_BYTES:
            raise LookupError
        file.seek(start + 8)
        tables = file.read(length - 8)
    for track in (content for kind, content in _boxes(tables) if kind == b"trak"):
        media = dict(_boxes(dict(_boxes(track))[b"mdia"]))
        if media[b"hdlr"][8:12] != b"vide":
            continue
        long = media[b"mdhd"][0] == 1
        (scale,) = struct.unpack_from(">I", media[b"mdhd"], 20 if long else 12)
        samples = dict(_boxes(dict(_boxes(media[b"minf"]))[b"stbl"]))
        (frames,) = struct.unpack_from(">I", samples[b"stsz"], 8)
        alike, ticks = struct.unpack_from(">II", samples[b"stts"], 8)  # the first run of frames that last equally long
        rate = scale / ticks
        if alike >= frames - 1 and 0 < frames <= MOST_FRAMES and 0 < rate <= MOST_FPS:  # the last one may differ
            return frames, rate
    raise LookupError


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the boxes in a box."""
    for kind, at, size in outer_boxes(io.BytesIO(content), len(content)):
        yield kind, content[at + 8 : at + size]
