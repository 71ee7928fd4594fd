"""A comparison as one zip: its clips, one labelled grid video, settings, numbers, checksums, and a page that needs no
server. Read back, it is a comparison again. What a zip says of itself is never trusted."""

from __future__ import annotations

import hashlib
import json
import logging
import lzma
import math
import secrets
import shutil
import sqlite3
import struct
import time
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from studio import provenance
from studio.compare.grid_video import write_grid
from studio.compare.record import CellState, Comparison, Comparisons, Member, comparison_from
from studio.events import StudioError
from studio.foreign import foreign_values
from studio.history import Entry, History
from studio.outputs import read_settings
from studio.presets import Preset
from studio.video_files import open_video

FORMAT = 1
MANIFEST, SUMS, PAGE, GRID = "comparison.json", "SHA256SUMS", "index.html", "grid.mp4"
ROLES, PICTURE_SUFFIXES = ("person", "subject"), (".png", ".jpg", ".jpeg", ".webp", ".bmp")
MOST_FILES, MOST_BYTES = 200, 512 * 1024 * 1024  # unpacked; a comparison of 24 clips is far below
LARGEST_MANIFEST = 4 * 1024 * 1024
MOST_MEMBERS, LONGEST_LABEL, LONGEST_SECONDS = 100, 2000, 1e8
MOST_DECODED = 2 << 30  # bytes of RGB of all clips together: they are shown, measured and put on one grid
UNREADABLE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, OSError, NotImplementedError, RuntimeError, ValueError, zlib.error,
    EOFError, lzma.LZMAError, struct.error,
)  # fmt: skip
logger = logging.getLogger(__name__)
README = "A comparison made with Quintet. Open index.html in a browser, or drop the zip on the studio's Compare tab."


@dataclass(frozen=True)
class Restored:
    """`pictures`: content of the files of person and subject, by names "person.png"; none unless they were saved."""

    comparison: Comparison
    pictures: Mapping[str, bytes]


class BundleError(StudioError):
    """A zip that is not a comparison; the message says what is wrong with it."""


def write(
    comparison: Comparison, states: Sequence[CellState], page: str, target: Path,
    numbers: Mapping[str, Any] | None = None, pictures: Mapping[str, Path] | None = None,
    certificates: Path | None = None,
) -> Path:  # fmt: skip
    """Write the zip. `page` is the offline page; `numbers` go into metrics.json; `pictures` only when asked for.

    The grid video is marked as generated, and signed when there is a folder of `certificates`.
    """
    clips = {index: [path for path in state.paths if path.is_file()] for index, state in enumerate(states)}
    if not any(clips.values()):
        raise BundleError("There is no finished video to save.", "Wait for one, then save again.")
    members = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # clips do not shrink further
        sums: dict[str, str] = {}

        def put(name: str, content: bytes) -> None:
            sums[name] = hashlib.sha256(content).hexdigest()
            archive.writestr(name, content)

        for index, state in enumerate(states):
            names = []
            for number, path in enumerate(clips[index]):
                names.append(f"clips/{index:02d}-{number}.mp4")
                put(names[-1], path.read_bytes())
            described = asdict(state.member) | {"job": "", "clips": names, "seconds": state.seconds}
            members.append(described | {"state": state.state, "settings": [_settings(path) for path in clips[index]]})
        for name, picture in (pictures or {}).items():
            put(f"inputs/{name}{picture.suffix.lower()}", picture.read_bytes())
        beside = target.with_suffix(".grid.mp4")
        try:
            write_grid(comparison, clips, beside)
            provenance.mark_video(beside, certificates)
            put(GRID, beside.read_bytes())
        finally:
            beside.unlink(missing_ok=True)
        put("metrics.json", _json(numbers or {}))
        put("environment.json", _json(_environment(members)))
        put(PAGE, page.encode())
        put("README.txt", README.encode())
        head = {"studio": "quintet", "format": FORMAT, **asdict(comparison)}
        put(MANIFEST, _json(head | {"members": members}))
        archive.writestr(SUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))
    return target


def restore(
    file: Path, owner: str, folder: Path, made: Comparisons, history: History, presets: Mapping[str, Preset]
) -> Restored:
    """Take a bundle's comparison into this studio: its clips into `folder`, its cells into the history.

    BundleError before anything is written if the zip is damaged, too large, or no bundle.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            head, files = _checked(archive)
    except UNREADABLE as error:
        raise BundleError("This file is not a zip that can be read.", "Choose a bundle saved by Quintet.") from error
    try:
        comparison = comparison_from(head | {"members": [_member(values, presets) for values in head["members"]]})
        clips = [[str(name) for name in values["clips"]] for values in head["members"]]
        _check_words(comparison)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise BundleError("This bundle's description is damaged.", "Save it again where it was made.") from error
    if unknown := [name for names in clips for name in names if name not in files]:
        raise BundleError(f"This bundle lacks {unknown[0]:.80}.", "Save it again where it was made.")
    comparison = replace(comparison, id=f"{time.time_ns():020d}-{secrets.token_hex(4)}")
    place = folder / f"imported-{comparison.id}"
    try:
        place.mkdir(parents=True)
        taken = _write_clips(clips, files, place)
        members = [
            _adopted(member, paths, values, owner, history) if paths else member
            for member, paths, values in zip(comparison.members, taken, head["members"], strict=True)
        ]
        restored = replace(comparison, members=tuple(members))
        made.keep(restored, owner)
    except BaseException as error:
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(error, OSError | sqlite3.Error):
            logger.warning("a bundle cannot be kept: %s", error)
            raise BundleError("This bundle cannot be kept here.", "The disk may be full; the log has more.") from error
        raise
    pictures = {PurePosixPath(name).name: files[name] for name in files if _is_picture(name)}
    return Restored(restored, pictures)


def _write_clips(clips: Sequence[Sequence[str]], files: Mapping[str, bytes], place: Path) -> list[tuple[Path, ...]]:
    """Each member's clips under names of our own. BundleError for what is no clip or takes too much memory."""
    room = MOST_DECODED
    taken = []
    for index, names in enumerate(clips):
        paths = tuple(place / f"{index:02d}-{number}.mp4" for number in range(len(names)))
        for path, name in zip(paths, names, strict=True):
            path.write_bytes(files[name])
            room -= _decoded_bytes(path, name)
            if room < 0:
                raise BundleError("The clips of this bundle are too large or too many to be shown together.")
        taken.append(paths)
    return taken


def _decoded_bytes(path: Path, name: str) -> int:
    try:
        with open_video(path) as container:
            stream = container.streams.video[0]
            if not stream.frames:
                raise ValueError("it does not say how long it is")
            return 3 * stream.width * stream.height * stream.frames
    except ValueError as error:
        raise BundleError(f"{name} in this bundle is not a clip that can be read.") from error


def _checked(archive: zipfile.ZipFile) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest, clips and pictures, read into memory only after their stated sizes were added up, and counted."""
    infos = archive.infolist()
    if len(infos) > MOST_FILES:
        raise BundleError(f"This zip holds {len(infos)} files; a bundle has at most {MOST_FILES}.")
    if len({info.filename for info in infos}) < len(infos):
        raise BundleError("This zip holds two files of one name.")
    if sum(info.file_size for info in infos) > MOST_BYTES:
        raise BundleError(f"This zip unpacks to more than {MOST_BYTES >> 20} MB.")
    wanted = [
        info
        for info in infos
        if info.filename in (MANIFEST, SUMS) or _is_clip(info.filename) or _is_picture(info.filename)
    ]
    room = MOST_BYTES
    content: dict[str, bytes] = {}
    for info in wanted:
        limit = min(room, LARGEST_MANIFEST if info.filename in (MANIFEST, SUMS) else room)
        with archive.open(info) as file:
            content[info.filename] = file.read(limit + 1)  # what is really there, whatever the header says
        room -= len(content[info.filename])
        if len(content[info.filename]) > limit:
            raise BundleError(f"{info.filename} is larger than it may be.")
    if MANIFEST not in content:
        raise BundleError("This zip holds no comparison.", "Choose a bundle saved by Quintet.")
    _check_sums(content)
    try:
        head = json.loads(content[MANIFEST])
        _json(head)  # JSON can spell halves of characters, which no file holds
    except (ValueError, RecursionError) as error:
        raise BundleError("This bundle's description is damaged.") from error
    if not isinstance(head, dict) or head.get("studio") != "quintet" or not isinstance(head.get("members"), list):
        raise BundleError("This zip holds no comparison.", "Choose a bundle saved by Quintet.")
    if head.get("format") != FORMAT:
        raise BundleError(f"This bundle has format {head.get('format')!r:.40}; this studio reads {FORMAT}.")
    return head, content


def _is_clip(name: str) -> bool:
    """`clips/name.mp4` and nothing else: a path with .. or a drive in it is not even read."""
    path = PurePosixPath(name)
    return len(path.parts) == 2 and path.parts[0] == "clips" and path.suffix == ".mp4" and "\\" not in name


def _is_picture(name: str) -> bool:
    return name in {f"inputs/{role}{suffix}" for role in ROLES for suffix in PICTURE_SUFFIXES}


def _check_words(comparison: Comparison) -> None:
    """ValueError for more than a page can show."""
    words = [comparison.title, *comparison.rows, *comparison.columns]
    words += [word for member in comparison.members for word in (member.label, member.variant, member.reason)]
    if len(comparison.members) > MOST_MEMBERS or max(map(len, words), default=0) > LONGEST_LABEL:
        raise ValueError("more than a page can show")
    if len(comparison.rows) * len(comparison.columns) > MOST_MEMBERS**2 or not math.isfinite(comparison.created):
        raise ValueError("not a grid")


def _check_sums(content: Mapping[str, bytes]) -> None:
    lines = content.get(SUMS, b"").decode("utf-8", "replace").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name, data in content.items():
        if name != SUMS and sums.get(name) != hashlib.sha256(data).hexdigest():
            raise BundleError(f"{name} in this bundle is not what was saved.", "Save it again where it was made.")


def _member(values: Mapping[str, Any], presets: Mapping[str, Preset]) -> dict[str, Any]:
    """A member as `Comparison` keeps it: known fields, plain types. No path of this machine comes in with it."""
    request = values["request"]
    if not isinstance(request, dict):
        raise TypeError("request")
    preset = presets.get(str(values["preset"]))
    request = foreign_values(preset, request) if preset else {}
    words = {name: str(values[name]) for name in ("label", "variant", "preset", "reason")}
    return {"row": int(values["row"]), "column": int(values["column"]), "request": request, "job": "", **words}


def _adopted(
    member: Member, paths: tuple[Path, ...], values: Mapping[str, Any], owner: str, history: History
) -> Member:
    """Into the history, under a new id: the old one may be another's."""
    seconds = values.get("seconds")
    id, method = secrets.token_urlsafe(16), member.preset.partition("/")[0]
    seconds = float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < LONGEST_SECONDS else 0.0
    entry = Entry(
        id, owner, member.preset, method, dict(member.request), time.time(), "finished", paths, None, seconds
    )
    history.adopt(entry)
    return replace(member, job=id, reason="")


def _environment(members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the clips were made with, told once each."""
    found: dict[str, list[Any]] = {}
    for settings in (settings for member in members for settings in member["settings"]):
        for name in ("versions", "device", "commit", "weights"):
            if name in settings and settings[name] not in found.setdefault(name, []):
                found[name].append(settings[name])
    return found


def _settings(path: Path) -> dict[str, Any]:
    try:
        return read_settings(path)
    except ValueError:  # a clean copy, or not ours: the clip is still worth keeping
        return {}


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str).encode()
