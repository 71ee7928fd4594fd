"""All clips of a comparison in one labelled video, frame-locked by seconds: for a message, a slide, a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.compare.record import Comparison
from studio.outputs import ENCODER
from studio.video_files import read_frames

if TYPE_CHECKING:
    import numpy as np

LEAST_SIDE, MOST_SIDE = 192, 480  # of a cell's shorter side, in pixels
LABEL, GAP = 26, 6
MOST_DECODED = 4 << 30  # bytes of all clips together: two dozen of the largest the methods make
PAPER, INK = (250, 251, 251), (22, 33, 31)


def write_grid(comparison: Comparison, clips: Mapping[int, Sequence[Path]], target: Path) -> None:
    """`clips` are the files of each member, by its place; members without one leave their cell empty."""
    import av
    import numpy as np
    from PIL import Image

    shown = [(index, path) for index, paths in clips.items() for path in paths]
    read = [read_frames(path, MOST_DECODED // len(shown)) for _, path in shown]
    height, width = _cell_size([frames for frames, _ in read])
    places = _places(comparison, [index for index, _ in shown])
    rows, columns = max(row for row, _ in places) + 1, max(column for _, column in places) + 1
    size = (columns * (width + GAP) + GAP, rows * (height + LABEL + GAP) + GAP)
    size = (size[0] + size[0] % 2, size[1] + size[1] % 2)  # yuv420p needs even sides
    background = Image.new("RGB", size, PAPER)
    for (index, _), place in zip(shown, places, strict=True):
        _write_label(background, comparison.members[index].label, _corner(place, height, width), width)
    fps = max(rate for _, rate in read)
    seconds = max(len(frames) / rate for frames, rate in read)
    with av.open(str(target), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=ENCODER)
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], "yuv420p"
        canvas = np.array(background)
        for tick in range(round(seconds * fps)):
            for (frames, rate), place in zip(read, places, strict=True):
                left, top = _corner(place, height, width)
                frame = frames[min(len(frames) - 1, int((tick + 0.5) / fps * rate))]
                picture = Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC)
                canvas[top + LABEL : top + LABEL + height, left : left + width] = np.array(picture)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(canvas, format="rgb24")))
        container.mux(stream.encode())


def _cell_size(clips: Sequence[Sequence[np.ndarray]]) -> tuple[int, int]:
    """One size for all: the largest clip's, within bounds."""
    height, width = max((frames[0].shape[:2] for frames in clips), key=lambda shape: shape[0] * shape[1])
    side = min(height, width)
    scale = max(LEAST_SIDE, min(MOST_SIDE, side)) / side
    return round(height * scale), round(width * scale)


def _places(comparison: Comparison, indexes: Sequence[int]) -> list[tuple[int, int]]:
    """Row and column of every clip. One column lies down, and several clips of one cell follow each other."""
    if len(comparison.columns) == 1 or len(set(indexes)) < len(indexes):
        across = 3 if len(indexes) > 4 else 2 if len(indexes) == 4 else len(indexes)
        return [(number // across, number % across) for number in range(len(indexes))]
    members = [comparison.members[index] for index in indexes]
    return [(member.row, member.column) for member in members]


def _corner(place: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    row, column = place
    return GAP + column * (width + GAP), GAP + row * (height + LABEL + GAP)


def _write_label(picture: Any, label: str, corner: tuple[int, int], width: int) -> None:
    from PIL import ImageDraw, ImageFont

    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    while label and pen.textlength(label, font=font) > width - 4:
        label = label[:-2].rstrip(" .…") + "…" if len(label) > 2 else ""
    pen.text((corner[0] + 2, corner[1] + 4), label, fill=INK, font=font)
