"""One studio per output folder: two would overwrite each other's history and mark each other's jobs as lost."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from studio.events import StudioError

FILE = ".studio.lock"


@contextlib.contextmanager
def only_studio(folder: Path) -> Iterator[None]:
    """Hold the folder until the block, or the process, ends. StudioError when another studio has it."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            who = file.read().strip()
            raise StudioError(
                f"Another studio{f' (process {who})' if who else ''} uses the folder {folder}.",
                "Stop it, or choose another --output-dir.",
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
