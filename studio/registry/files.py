"""Weights on disk: where a source lies, which files it has, whether they are whole. Reads headers, no tensors."""

from __future__ import annotations

import importlib
import json
import logging
import math
import os
import re
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.method import REPOSITORY
from studio.events import StudioError
from studio.uncollected import uncollected

HEADER_LIMIT = 100_000_000  # bytes; the format's own limit, a larger number means that this is no safetensors file
ITEM_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
    "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
SHA256 = re.compile(r"[0-9a-f]{64}")
FETCH = "Fetch them in the tab, or with: python -m studio weights get METHOD/PRESET"
logger = logging.getLogger(__name__)


class WeightsError(StudioError):
    """Weights that are absent, damaged or of another network; the message names the file."""


@dataclass(frozen=True)
class TensorEntry:
    """One tensor in a file: safetensors' name of its dtype, and its first and last byte after the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class WeightsFile:
    """A safetensors file whose header was read and whose length fits the header."""

    path: Path
    entries: dict[str, TensorEntry]
    data_start: int
    data_bytes: int
    identity: str  # of this content: path, inode, size, time of change


def find_folder(source: str) -> Path:
    """The folder of a source: relative to the repository, absolute, or `hub:owner/name@revision:subfolder`."""
    if source.startswith("hub:"):
        return _find_in_hub_cache(source)
    folder = REPOSITORY / Path(source).expanduser()
    if not folder.is_dir():
        raise WeightsError(f"The weights folder {source} does not exist.", FETCH)
    return folder


def read_config(folder: Path) -> dict[str, Any]:
    """config.json as a dict."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(f"The file {shown(path)} is missing.", "Copy or download the weights again.") from error
    except (OSError, ValueError) as error:
        raise WeightsError(f"The file {shown(path)} cannot be read: {error}.", "Copy or download it again.") from error
    if not isinstance(config, dict):
        raise WeightsError(f"The file {shown(path)} holds no settings.", "Copy or download it again.")
    return config


def find_weights(folder: Path) -> list[WeightsFile]:
    """The safetensors files of a folder, each checked to be whole; several when an index lists shards."""
    indexes = sorted(folder.glob("*.safetensors.index.json"))
    if indexes:
        try:
            names = sorted(set(json.loads(indexes[0].read_text(encoding="utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise WeightsError(f"The file {shown(indexes[0])} is damaged.", "Copy or download it again.") from error
        return [read_header(folder / name) for name in names]
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    usual = [name for name in ("diffusion_pytorch_model.safetensors", "model.safetensors") if name in names]
    if not names:
        raise WeightsError(
            f"The weights file {shown(folder / 'diffusion_pytorch_model.safetensors')} is missing.",
            "Copy or download the weights again.",
        )
    if not usual and len(names) > 1:
        raise WeightsError(
            f"The folder {shown(folder)} has several weights files: {', '.join(names)}.", "Leave one of them."
        )
    return [read_header(folder / (usual or names)[0])]


def read_header(path: Path) -> WeightsFile:
    """Parse a safetensors header and compare the file's length with it: a cut download is found at once."""
    again = "Copy or download it again."
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            size = stat.st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or (length <= HEADER_LIMIT and size < 8 + length):
                raise WeightsError(f"The weights file {shown(path)} is cut short: it has only {size:,} bytes.", again)
            if length > HEADER_LIMIT:
                raise WeightsError(f"The file {shown(path)} is not a safetensors file.", again)
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            entries = {name: _entry(value) for name, value in header.items()}
    except FileNotFoundError as error:
        raise WeightsError(
            f"The weights file {shown(path)} is missing.", "Copy or download the weights again."
        ) from error
    except OSError as error:
        raise WeightsError(
            f"The weights file {shown(path)} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"The file {shown(path)} is not a safetensors file.", again) from error
    data_bytes = max((entry.end for entry in entries.values()), default=0)
    whole = 8 + length + data_bytes
    if size < whole:
        raise WeightsError(
            f"The weights file {shown(path)} is cut short: {size:,} of {whole:,} bytes are there.", again
        )
    return WeightsFile(path, entries, 8 + length, data_bytes, identity_of(path, stat))


def identity_of(path: Path, stat: os.stat_result) -> str:
    """Tells whether a file is the one that was seen before, without reading it."""
    return f"{path.resolve()}|{stat.st_ino}|{stat.st_size}|{stat.st_mtime_ns}"


def import_object(path: str) -> Any:
    """The object at "package.module:Name"."""
    module, _, name = path.partition(":")
    with uncollected():
        return getattr(importlib.import_module(module), name)


def shown(path: Path) -> str:
    """Relative to the repository when inside it: shorter, and the same on every machine."""
    return str(path.relative_to(REPOSITORY)) if path.is_relative_to(REPOSITORY) else str(path)


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all, whoever else writes at the same time. OSError when the disk says no."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump(content, out)
    Path(beside).replace(path)


class Digests:
    """sha256 of files by identity, kept between runs: 20 GB take half a minute to hash."""

    def __init__(self, cache_dir: Path | None) -> None:
        self._file = cache_dir / "digests.json" if cache_dir else None
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        try:
            if self._file:
                known = json.loads(self._file.read_text(encoding="utf-8"))
                self._known = {str(key): str(value) for key, value in known.items()}
        except (OSError, ValueError, AttributeError):
            self._known = {}  # absent or damaged: it is only a cache

    def get(self, file: WeightsFile) -> str | None:
        """Known from an earlier run, or from the hub's cache, which names large files by their sha256."""
        blob = file.path.resolve()
        if blob.parent.name == "blobs" and SHA256.fullmatch(blob.name):
            return blob.name
        return self._known.get(file.identity)

    def put(self, file: WeightsFile, digest: str) -> None:
        with self._lock:
            self._known[file.identity] = digest
            if self._file is None:
                return
            try:
                write_json(self._file, self._known)
            except OSError as error:
                logger.warning("digests are not kept: %s", error)


def _entry(value: dict[str, Any]) -> TensorEntry:
    start, end = value["data_offsets"]
    entry = TensorEntry(value["dtype"], tuple(value["shape"]), start, end)
    if not 0 <= start <= end or end - start != math.prod(entry.shape) * ITEM_BYTES[entry.dtype]:
        raise ValueError("offsets do not fit the shape")
    return entry


def _find_in_hub_cache(source: str) -> Path:
    """Asks no server: a download needs the person's consent (studio.weights)."""
    from studio.weights.hub_cache import HubSource, find_snapshot

    try:
        wanted = HubSource.parse(source)
    except ValueError as error:
        raise WeightsError(str(error), "Check the preset.") from error
    snapshot = find_snapshot(wanted)
    folder = snapshot / wanted.path if snapshot else None
    if folder is None or not folder.is_dir():
        raise WeightsError(
            f"The weights {wanted.repository}{f' ({wanted.path})' if wanted.path else ''} are not on this machine.",
            FETCH,
        )
    return folder
