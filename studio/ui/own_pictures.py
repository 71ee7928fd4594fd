"""What lies on this machine of each visitor's own pictures, and its end.

Kept in memory alone: the folder in which the files lie goes with the studio, see `served`.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gradio.utils import get_upload_folder

from models.method import REPOSITORY, request_fields
from studio.jobs import JobQueue
from studio.presets import Preset, shipped_pictures
from studio.ui.media import is_upload

Kind = Literal["picture", "cut-out", "file with pictures inside", "inspected file"]
SEVERAL: dict[str, str] = {
    "picture": "pictures", "cut-out": "cut-outs", "file with pictures inside": "files with pictures inside",
    "inspected file": "inspected files",
}  # fmt: skip
ATLAS = REPOSITORY / "docs" / "atlas"  # recorded comparisons, shown to all
FORGETFUL = 10_000  # files noted, beyond which those that were swept are crossed out


@dataclass(frozen=True)
class Forgotten:
    """How many files of each kind were deleted, how many videos stopped, and what could not be deleted."""

    deleted: Mapping[str, int]
    stopped: int
    left: tuple[str, ...]

    @property
    def words(self) -> str:
        """What was deleted, and what remains."""
        parts = [f"{count} {kind if count == 1 else SEVERAL[kind]}" for kind, count in self.deleted.items()]
        told = [f"Deleted: {', '.join(parts)}." if parts else "There was no picture of yours here."]
        if self.stopped:
            told.append("A video that was being made from them was stopped.")
        told.append(f"What remains of them here: {', '.join(self.left) or 'nothing'}.")
        return " ".join(told)


@dataclass(frozen=True)
class _Noted:
    kind: Kind
    digest: str


class OwnPictures:
    """Asked by every place that takes a picture. `presets` tell which files are the studio's."""

    def __init__(self, jobs: JobQueue, presets: Collection[Preset]) -> None:
        self._jobs = jobs
        shipped = {path for preset in presets for path in _shipped(preset)} | set(ATLAS.rglob("*"))
        self._shipped = {_digest(path) for path in shipped if path.is_file()}
        self._noted: dict[str, dict[Path, _Noted]] = {}
        self._lock = threading.Lock()

    def note(self, owner: str | None, file: Path | str | None, kind: Kind = "picture") -> None:
        """This file in the folder of copies is this visitor's, or was made of what is."""
        path = Path(file) if file else None
        if not owner or path is None or not is_upload(path) or not path.is_file():
            return
        digest = _digest(path)
        if digest in self._shipped:
            return
        with self._lock:
            self._noted.setdefault(owner, {})[path.resolve()] = _Noted(kind, digest)
            if sum(map(len, self._noted.values())) > FORGETFUL:
                self._cross_out()

    def files(self, owner: str) -> list[Path]:
        """What of this visitor's is still there, wherever it lies in the folder and under whatever name."""
        with self._lock:
            noted = dict(self._noted.get(owner, {}))
        digests = {note.digest for note in noted.values()}
        found = {path for path in noted if path.is_file()}
        return sorted(found | {path for path in _copies() if _digest(path) in digests} if digests else found)

    def forget(self, owner: str) -> Forgotten:
        """Stop the jobs that were asked with them, delete every copy, then look again for what is left."""
        with self._lock:
            noted = dict(self._noted.get(owner, {}))
        kinds = {note.digest: note.kind for note in noted.values()}
        stopped = self._jobs.forget(owner, set(noted))
        deleted: Counter[str] = Counter()
        for path in self.files(owner):
            with contextlib.suppress(OSError):
                kind = kinds.get(_digest(path), "picture")
                path.unlink()
                deleted[kind] += 1
                path.parent.rmdir()  # fails while other files lie there
        left = self.files(owner)
        with self._lock:
            self._noted[owner] = {path: note for path, note in noted.items() if path in left}
            if not self._noted[owner]:
                del self._noted[owner]
        named = [f"{kinds.get(_digest(path), 'picture')} that cannot be deleted" for path in left]
        return Forgotten(dict(deleted), stopped, tuple(named))

    def _cross_out(self) -> None:
        for owner, noted in list(self._noted.items()):
            self._noted[owner] = {path: note for path, note in noted.items() if path.is_file()}
            if not self._noted[owner]:
                del self._noted[owner]


def _shipped(preset: Preset) -> Iterator[Path]:
    """Pictures, recorded examples, and whatever else lies beside the preset: the page shows copies of them to all."""
    yield from preset.origin.parent.rglob("*")
    for name, info in request_fields(preset.method.request).items():
        if info.kind == "image":
            yield from shipped_pictures(preset, name)


def _copies() -> Iterator[Path]:
    return (
        path for path in Path(get_upload_folder()).resolve().rglob("*") if path.is_file() and not path.is_symlink()
    )


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # gone meanwhile
        return ""
