"""A folder of weights that was converted here: its own list of checksums, by which it is known to be whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from studio.weights.transfer import digest_of

SUMS = "converted.json"


def write_sums(folder: Path, origins: Mapping[str, str]) -> None:
    """List the files that are there now; `origins`: what each of them was made from."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = {path.relative_to(folder).as_posix(): digest_of(path) for path in files}
    (folder / SUMS).write_text(json.dumps({"made_from": dict(origins), "files": sums}, indent=1), encoding="utf-8")


def read_sums(folder: Path) -> dict[str, str]:
    """File name -> sha256, as written when the folder was made; empty when it was not made here."""
    try:
        return dict(json.loads((folder / SUMS).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError):
        return {}


def is_whole(folder: Path) -> bool:
    """Whether it was made here and all its files are still there."""
    sums = read_sums(folder)
    return bool(sums) and all((folder / name).is_file() for name in sums)


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def remove_folder(folder: Path) -> int:
    """The bytes freed."""
    size = folder_bytes(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return size
