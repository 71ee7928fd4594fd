"""Where files of the model hub lie on this machine, in the hub's own layout, so that its other tools find them too.

`models--owner--name/blobs/<digest>` holds the bytes, `snapshots/<commit>/<path>` links to them, `refs/<name>` has the
commit of a branch or tag. Needs no network.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

SOURCE = re.compile(r"hub:(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?(:(?P<path>.+))?")
COMMIT = re.compile(r"[0-9a-f]{40}")
PARTIAL_SUFFIX = ".quintet.incomplete"  # ends as the hub's own, so that `hf cache prune` knows it

# the same weights under another name, tried in this order when the first is gone
MIRRORS: dict[str, tuple[str, ...]] = {
    "runwayml/stable-diffusion-v1-5": ("stable-diffusion-v1-5/stable-diffusion-v1-5",),
    "damo-vilab/text-to-video-ms-1.7b": ("ali-vilab/text-to-video-ms-1.7b",),
    "ali-vilab/text-to-video-ms-1.7b": ("damo-vilab/text-to-video-ms-1.7b",),
    "THUDM/CogVideoX-2b": ("zai-org/CogVideoX-2b",),
    "THUDM/CogVideoX-5b": ("zai-org/CogVideoX-5b",),
}


@dataclass(frozen=True)
class HubSource:
    """`hub:owner/name@revision:path`; `path` is a folder or a file of the repository, empty for its root."""

    repository: str
    revision: str = "main"
    path: str = ""

    @classmethod
    def parse(cls, source: str) -> HubSource:
        """ValueError when it has another form."""
        match = SOURCE.fullmatch(source)
        if match is None:
            raise ValueError(f"{source!r} is not of the form hub:owner/name@revision:path.")
        return cls(match["repository"], match["revision"] or "main", (match["path"] or "").strip("/"))

    @property
    def place(self) -> str:
        """The repository at its revision, without the path."""
        return f"hub:{self.repository}@{self.revision}"

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return COMMIT.fullmatch(self.revision) is not None


def cache_folder() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def repository_folder(repository: str) -> Path:
    return cache_folder() / f"models--{repository.replace('/', '--')}"


def find_snapshot(source: HubSource) -> Path | None:
    """The newest snapshot of the revision that this machine has, perhaps under a mirror's name; perhaps not whole."""
    for repository in (source.repository, *MIRRORS.get(source.repository, ())):
        folder = repository_folder(repository)
        commit = source.revision if source.pinned else read_ref(folder, source.revision)
        if commit and (folder / "snapshots" / commit).is_dir():
            return folder / "snapshots" / commit
    return None


def read_ref(folder: Path, revision: str) -> str | None:
    """The commit that a branch or tag had when it was last fetched."""
    try:
        return (folder / "refs" / revision).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def write_ref(folder: Path, revision: str, commit: str) -> None:
    path = folder / "refs" / revision
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(commit, encoding="utf-8")


def partial_of(folder: Path, digest: str) -> Path:
    """Where the bytes of a blob gather: always the same name, so that a later run finds and continues it."""
    return folder / "blobs" / f"{digest}{PARTIAL_SUFFIX}"


def lock_of(folder: Path, digest: str) -> Path:
    """The lock that huggingface_hub takes for this blob too."""
    return cache_folder() / ".locks" / folder.name / f"{digest}.lock"


def link(folder: Path, commit: str, path: str, digest: str) -> Path:
    """The file of a snapshot: a link to its blob, or a copy where links cannot be made."""
    pointer, blob = folder / "snapshots" / commit / path, folder / "blobs" / digest
    pointer.parent.mkdir(parents=True, exist_ok=True)
    if pointer.exists():
        return pointer
    pointer.unlink(missing_ok=True)  # a link whose blob was freed
    try:
        pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    except FileExistsError:  # another process was faster
        pass
    except OSError:
        shutil.copyfile(blob, pointer)
    return pointer


def unlink(folder: Path, commit: str, path: str, digest: str) -> int:
    """Remove a file from a snapshot, and its blob when no other snapshot uses it; the bytes freed."""
    pointer, blob = folder / "snapshots" / commit / path, folder / "blobs" / digest
    pointer.unlink(missing_ok=True)
    freed = 0
    if not any(other.resolve() == blob.resolve() for other in folder.glob("snapshots/*/**/*") if other.is_symlink()):
        for place in (blob, partial_of(folder, digest)):
            with contextlib.suppress(FileNotFoundError):
                freed += place.stat().st_size
                place.unlink()
    for parent in pointer.parents:
        if parent == folder:
            break
        with contextlib.suppress(OSError):
            parent.rmdir()  # only when empty
    return freed
