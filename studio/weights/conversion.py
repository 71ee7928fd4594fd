"""Published files into weights that presets name: in a process of its own, beside the final folder, then renamed.

The process is `python -m studio.weights.conversion JSON`; it is the one that imports torch.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from models.method import REPOSITORY, Conversion
from studio.registry.files import WeightsError, import_object
from studio.weights.library import Library
from studio.weights.made import SUMS, folder_bytes, is_whole, write_sums
from studio.weights.transfer import NO_ROOM, DownloadStopped, Stop, locked

POLL_SECONDS = 0.1
END_SECONDS = 5.0
UNFINISHED = ".unfinished"
REFUSED = 3  # exit code: the message is for the person, no traceback is needed

OnConverted = Callable[[str, int, int], None]  # what, bytes written, bytes of the sources


def convert(library: Library, conversion: Conversion, on_progress: OnConverted, stop: Stop) -> None:
    """Run a conversion whose sources are here. One process at a time; nothing is visible before all of it is done."""
    folder = REPOSITORY / conversion.folder
    paths: dict[str, Path] = {}
    for name, published in conversion.sources.items():
        path = library.source_path(published)
        if path is None or not path.exists():
            raise WeightsError(f"{published.source} is not on this machine.", "Fetch it first.")
        paths[name] = path
    what = f"converting to {conversion.folder}"
    lock = library.records.folder / f"{conversion.folder.strip('/').replace('/', '-')}.lock"
    with locked(lock, stop, lambda: on_progress(f"another process is {what}", 0, 0)):
        if is_whole(folder):  # another process made it while we waited
            return
        beside = folder.with_name(folder.name + UNFINISHED)
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        total = sum(folder_bytes(path) if path.is_dir() else path.stat().st_size for path in paths.values())
        try:
            _run(conversion, paths, beside, lambda done: on_progress(what, min(done, total), total), stop)
            _publish(conversion, beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _run(
    conversion: Conversion, paths: dict[str, Path], output: Path, on_bytes: Callable[[int], None], stop: Stop
) -> None:
    task = {
        "convert": conversion.convert,
        "paths": {name: str(path) for name, path in paths.items()},
        "output": str(output),
        "options": dict(conversion.options),
    }
    command = [sys.executable, "-m", "studio.weights.conversion", json.dumps(task)]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said
        )
        try:
            while process.poll() is None:
                on_bytes(folder_bytes(output))
                if stop():
                    raise DownloadStopped
                time.sleep(POLL_SECONDS)
        finally:
            _end(process)
        said.seek(0)
        words = said.read().strip()
    if process.returncode == REFUSED:
        raise WeightsError(words, "The download is kept.")
    if process.returncode != 0:
        reason = words.splitlines()[-1] if words else f"it ended with code {process.returncode}"
        raise WeightsError(f"Converting to {conversion.folder} failed: {reason}.", "The download is kept; try again.")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _publish(conversion: Conversion, beside: Path, folder: Path) -> None:
    """Note the checksums and give the folder its name; what lay there lacked something."""
    write_sums(beside, {name: published.source for name, published in conversion.sources.items()})
    if (folder / SUMS).exists():
        shutil.rmtree(folder)
    elif folder.exists():  # a person's own: out of the way, not away
        folder.rename(folder.with_name(f"{folder.name}.before-{time.time_ns()}"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside.rename(folder)


def main(task: str) -> int:
    """The child: call the method's function; messages for the person go to stderr."""
    asked = json.loads(task)
    paths = {name: Path(path) for name, path in asked["paths"].items()}
    try:
        import_object(asked["convert"])(**paths, output=Path(asked["output"]), **asked["options"])
    except ValueError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        print(f"The disk is full: {os.strerror(error.errno)}. Make room and start again.", file=sys.stderr)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
