"""Opening a video that somebody gave: only formats whose readers open no other file, and no more than fits in memory.

FFmpeg decides by content what a file is. A playlist among its formats names other files and addresses, which it would
open for a stranger; so the format is decided here, by the first bytes, and said to FFmpeg.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np

MOST_PIXELS = 4096 * 2304  # of a frame
MOST_DECODED = 512 << 20  # bytes of RGB that a clip may take in memory
MOST_FRAMES = 10_000
MOVFLAGS = "faststart+use_metadata_tags"
FORMATS = ((4, b"ftyp", "mp4"), (0, b"\x1a\x45\xdf\xa3", "matroska"))  # where, what, FFmpeg's name


@contextlib.contextmanager
def open_video(path: Path) -> Iterator[Any]:
    """An `av` container whose first stream of pictures is of a sane size. ValueError says what the file is instead."""
    import av
    from av.error import FFmpegError

    damaged = f"{path.name} is not a video that can be read."
    kind = video_format(path)
    if kind is None:
        raise ValueError(damaged)
    try:
        with av.open(str(path), format=kind, options={"protocol_whitelist": "file"}) as container:
            if not container.streams.video:
                raise ValueError(f"{path.name} holds no pictures.")
            if container.streams.video[0].codec_context is None:  # of a kind that nothing here decodes
                raise ValueError(damaged)
            _check_size(path, container.streams.video[0])
            yield container
    except (FFmpegError, OSError, MemoryError, IndexError, OverflowError, UnicodeError) as error:
        raise ValueError(damaged) from error


def read_frames(path: Path, most_bytes: int = MOST_DECODED) -> tuple[list[np.ndarray], float]:
    """Every frame, uint8 [height, width, 3], and frames per second. ValueError for what is no clip or too much."""
    with open_video(path) as container:
        stream = container.streams.video[0]
        frames, room = [], most_bytes
        for frame in container.decode(stream):
            room -= 3 * frame.width * frame.height
            if room < 0 or len(frames) == MOST_FRAMES or frame.width * frame.height > MOST_PIXELS:
                raise ValueError(f"{path.name} is too long or too large to be read whole.")
            frames.append(frame.to_ndarray(format="rgb24"))
        if not frames:
            raise ValueError(f"{path.name} has no frame that can be read.")
        return frames, float(stream.average_rate or 8)


def sampled_frames(path: Path, count: int, most_bytes: int) -> list[np.ndarray]:
    """At most `count` frames, evenly over the beginning of a video, within `most_bytes`."""
    with open_video(path) as container:
        stream = container.streams.video[0]
        pixels = max(1, stream.width * stream.height)
        count = max(1, min(count, most_bytes // (3 * pixels)))
        every = max(1, min(stream.frames, MOST_FRAMES) // count)
        frames: list[np.ndarray] = []
        for index, frame in enumerate(container.decode(stream)):
            if len(frames) == count or index == MOST_FRAMES:
                break
            if index % every == 0 and frame.width * frame.height <= pixels:  # a stream may change its size midway
                frames.append(frame.to_ndarray(format="rgb24", width=stream.width, height=stream.height))
        return frames


def video_format(path: Path) -> str | None:
    """FFmpeg's name of the format if it is one that is read here, by the first bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError:
        return None
    return next((name for at, magic, name in FORMATS if start[at : at + len(magic)] == magic), None)


def copy_frames(source: Path, target: Path, tags: Collection[str] = ()) -> None:
    """The same encoded frames in an mp4 of their own, with those of the `tags` that there were, and nothing else.

    ValueError when `source` is no video that can be copied.
    """
    import av
    from av.error import FFmpegError

    try:
        with open_video(source) as original, av.open(str(target), "w", "mp4", {"movflags": MOVFLAGS}) as copy:
            copy.metadata.update({name: words for name, words in original.metadata.items() if name in tags})
            stream = original.streams.video[0]
            twin = copy.add_stream_from_template(stream)
            for packet in original.demux(stream):
                if packet.dts is not None:
                    packet.stream = twin
                    copy.mux(packet)
    except (FFmpegError, ValueError) as error:
        raise ValueError(f"{source.name} is not a video that can be copied.") from error


def outer_boxes(file: BinaryIO, length: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and size of an mp4's outermost boxes, as far as they make sense."""
    start = 0
    while start + 8 <= length:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            size = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0]
        if size < 8 or start + size > length:
            return
        yield kind, start, size
        start += size


def append_box(path: Path, id: bytes, content: bytes) -> None:
    """Add a box of our own, named by 16 bytes, after everything else, where no offset of the video changes."""
    with path.open("ab") as file:
        file.write(struct.pack(">I4s16s", 24 + len(content), b"uuid", id) + content)


def _check_size(path: Path, stream: Any) -> None:
    if stream.width * stream.height > MOST_PIXELS:
        raise ValueError(f"{path.name} has frames of {stream.width}x{stream.height} pixels, too large to read.")
    if stream.frames > MOST_FRAMES:
        raise ValueError(f"{path.name} has {stream.frames:,} frames; at most {MOST_FRAMES:,} are read.")
