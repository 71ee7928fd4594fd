"""The folder from which browsers load clips and pictures: this studio's alone, emptied at start, swept by age.

Gradio's own cleaning knows only the copies that it made itself; the copies behind our pages' addresses are ours.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path

NAME = "served"
FOLDER = "GRADIO_TEMP_DIR"  # Gradio looks here whenever it needs the folder
AGE_SECONDS = 24 * 3600
MOST_BYTES = 8 << 30  # all copies together; the oldest go first
SWEEP_SECONDS = 600.0


class ServedFolder:
    """Gradio's folder while a studio runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ended = threading.Event()

    def sweep_from_now(self, keep_hours: float = 0.0) -> None:
        """Sweep now and then; what lies there already belongs to the page itself and stays. `keep_hours`: the owner's
        limit, where it is shorter than a day."""
        kept = frozenset(path for path in self.path.rglob("*") if path.is_file())
        threading.Thread(
            target=self._sweep_often, args=(kept, age_of(keep_hours)), name="sweep copies", daemon=True
        ).start()

    def remove(self) -> None:
        self._ended.set()
        shutil.rmtree(self.path, ignore_errors=True)

    def _sweep_often(self, kept: frozenset[Path], age_seconds: float) -> None:
        while not self._ended.wait(min(SWEEP_SECONDS, age_seconds / 4)):
            sweep(self.path, age_seconds, kept=kept)


def age_of(keep_hours: float) -> float:
    """Seconds that a copy stays: a day, or less where the owner keeps results for less; 0 sets no limit of its own."""
    return min(AGE_SECONDS, keep_hours * 3600) if keep_hours else AGE_SECONDS


@contextlib.contextmanager
def served_folder(outputs: Path) -> Iterator[ServedFolder]:
    """Give Gradio a folder that only this user reads, and remove it in the end.

    A folder that the environment names is swept too, but neither emptied nor removed.
    """
    if FOLDER in os.environ:
        yield ServedFolder(Path(os.environ[FOLDER]))
        return
    path = (outputs / NAME).resolve()
    shutil.rmtree(path, ignore_errors=True)  # pictures of an earlier run, which may have been killed
    try:
        path.mkdir(mode=0o700, parents=True)
    except OSError:
        path = Path(tempfile.mkdtemp(prefix="quintet-"))
    os.environ[FOLDER] = str(path)
    served = ServedFolder(path)
    try:
        yield served
    finally:
        os.environ.pop(FOLDER, None)
        served.remove()


def sweep(
    folder: Path, age_seconds: float = AGE_SECONDS, most_bytes: int = MOST_BYTES, kept: Collection[Path] = (),
    now: float | None = None,
) -> int:  # fmt: skip
    """Delete what is older than `age_seconds`, then the oldest until the rest fits; the number of files deleted.

    A clock that was set back makes files look new: they go with the size, or once it has caught up.
    """
    now = time.time() if now is None else now
    files = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # another thread was quicker
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode) and path not in kept:
                files.append((max(found.st_mtime, found.st_ctime), found.st_size, path))
    files.sort(reverse=True)
    room, deleted = most_bytes, 0
    for changed, size, path in files:  # newest first
        room -= size
        if now - changed > age_seconds or room < 0:
            with contextlib.suppress(OSError):
                path.unlink()
                deleted += 1
                path.parent.rmdir()  # fails while others lie there
    return deleted
