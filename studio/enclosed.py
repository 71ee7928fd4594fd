"""The pictures and camera files of a request inside a copy of its video, made when the person asks for it.

They stand in a box of their own at the mp4's end; results as they are written never hold any.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.method import Request, is_camera_file, path_entries, request_fields
from studio import provenance
from studio.events import shipped_name
from studio.video_files import append_box, copy_frames, outer_boxes

BOX = bytes.fromhex("5f1f6fa2c4a94be3a8d3c1b07e9d5a14")  # drawn at random
MOST_BYTES = 64 << 20  # all files of a video together
MOST_FILES = 12
LARGEST_HEADER = 16_384
STARTS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"BM": ".bmp", b"RIFF": ".webp"}  # of models.common.pictures
TAGS = ("title", "comment")  # the settings are the comment
Files = Mapping[str, Sequence[Path]]  # by field, in the order of its entries


@dataclass(frozen=True)
class Enclosed:
    """One file. `suffix` is decided by its content, never by the video."""

    field: str
    suffix: str
    content: bytes


def own_files(request: Request) -> dict[str, tuple[Path, ...]]:
    """What a request was asked with that did not come with the studio."""
    found: dict[str, tuple[Path, ...]] = {}
    for name, info in request_fields(type(request)).items():
        value = getattr(request, name)
        if info.kind == "image" and value is not None and shipped_name(Path(value)) is None:
            found[name] = (Path(value),)
        elif info.kind == "camera_path":
            found[name] = tuple(map(Path, filter(is_camera_file, path_entries(str(value)))))
    return {name: files for name, files in found.items() if files}


def enclose(source: Path, target: Path, files: Files, certificates: Path | None) -> None:
    """The same frames and settings with the files inside, marked and signed anew. ValueError says what cannot be."""
    listed = [(field, path.read_bytes()) for field, paths in files.items() for path in paths]
    if len(listed) > MOST_FILES or sum(len(content) for _, content in listed) > MOST_BYTES:
        raise ValueError(f"At most {MOST_FILES} files of {MOST_BYTES >> 20} MB together fit into a video.")
    header = json.dumps([[field, len(content)] for field, content in listed]).encode()
    body = struct.pack(">I", len(header)) + header + b"".join(content for _, content in listed)
    part = target.with_name(f".{target.name}.part")
    try:
        copy_frames(source, part, TAGS)
        append_box(part, BOX, body)
        provenance.mark_video(part, certificates)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def enclosed(path: Path) -> tuple[Enclosed, ...]:
    """The files inside a video; none where there are none. ValueError when they are damaged or too much."""
    with path.open("rb") as file:
        for kind, start, size in outer_boxes(file, path.stat().st_size):
            if kind != b"uuid" or size < 28:
                continue
            file.seek(start + 8)
            if file.read(16) == BOX:
                if size > MOST_BYTES + LARGEST_HEADER:
                    raise ValueError(f"The pictures inside take more than {MOST_BYTES >> 20} MB.")
                return _unpacked(file.read(size - 24))
    return ()


def _unpacked(body: bytes) -> tuple[Enclosed, ...]:
    damaged = "The pictures inside this video are damaged."
    (length,) = struct.unpack(">I", body[:4])
    try:
        listed = [(str(field), int(size)) for field, size in json.loads(body[4 : 4 + length])]
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(damaged) from error
    rest = body[4 + length :]
    if len(listed) > MOST_FILES or min((n for _, n in listed), default=0) < 0 or sum(n for _, n in listed) > len(rest):
        raise ValueError(damaged)
    found = []
    for field, size in listed:
        found.append(Enclosed(field, _suffix(rest[:size]), rest[:size]))
        rest = rest[size:]
    return tuple(found)


def _suffix(content: bytes) -> str:
    """By the first bytes; what is no picture counts as a camera file, which is text."""
    found = next((suffix for start, suffix in STARTS.items() if content.startswith(start)), "")
    if found:
        return found
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("A file inside this video is neither a picture nor a camera path.") from error
    return ".txt"
