"""What can go wrong around a studio, done to a real one: each case breaks something, mends it, and says what was lost.

A case is a function of a running `Trial`. It asserts what must hold and returns; `Trial.finished` counts every video
that was ready before the fault, and all of them must be there after it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import yaml

from tests.benchmark.visitor import Made, Visitor
from tests.browser.studio import ROOT, Studio, running_studio, write_presets

PATIENCE_SECONDS = 300.0  # the machine may be busy
LOOK_EVERY_SECONDS = 0.1
CLOCK = """
import os, time
_real = time.time
def _shifted():
    try:
        return _real() + float(open(os.environ["QUINTET_TEST_CLOCK"]).read() or 0)
    except (OSError, ValueError):
        return _real()
time.time = _shifted
"""


class Trial:
    """One studio in one folder, started again when a case asks for it."""

    def __init__(self, folder: Path, presets: Path | None = None) -> None:
        self.folder, self.finished = folder, 0
        self.presets = presets or write_presets(folder / "presets", folder / "release")
        self._running = ExitStack()
        self.studio = self._start()

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    def restart(self, between: Callable[[], object] = lambda: None) -> None:
        """End it in order, if it still runs, and start it over the same folder."""
        self._running.close()
        between()
        self.studio = self._start()

    def close(self) -> None:
        self._running.close()

    def _start(self) -> Studio:
        self._running = ExitStack()
        return self._running.enter_context(running_studio(self.folder, self.presets, "models,tests.fakes"))

    def visitor(self, name: str = "a visitor of the trial, always the same") -> Visitor:
        visitor = Visitor(self.studio.address, name)
        visitor.open()
        return visitor

    def make(self, prompt: str, tab: str = "Sketch") -> Made:
        """A video that must come out."""
        made = self.visitor().generate(tab, prompt)
        assert made.state == "done" and made.words == prompt, f"{prompt!r}: {made.state} {made.words}"
        self.finished += 1
        return made

    def hold(self, prompt: str) -> Callable[[], Made]:
        """A job that waits in its middle until `release` exists; the answer waits for its end."""
        self.studio.release.unlink(missing_ok=True)
        answer: list[Made] = []
        visitor = self.visitor()
        thread = threading.Thread(target=lambda: answer.append(visitor.generate("Held", prompt)), daemon=True)
        thread.start()
        wait_for(lambda: self.state(prompt) == "running" and self.worker() is not None)
        wait_for(self._is_held)

        def ended() -> Made:
            thread.join(PATIENCE_SECONDS)
            assert answer, f"{prompt!r} never ended"
            return answer[0]

        return ended

    def _is_held(self) -> bool:
        """The worker computes no more: it waits for the file."""
        worker = self.worker()
        if worker is None:
            return False
        before = _ticks(worker)
        threading.Event().wait(1.0)
        return 0 <= _ticks(worker) - before <= 20 and self.worker() == worker

    def worker(self) -> int | None:
        """The process that makes videos: the server's child with the most memory."""
        children = Path(f"/proc/{self.studio.process.pid}/task").glob("*/children")
        found: dict[int, int] = {}
        for file in children:
            with contextlib.suppress(OSError):
                for pid in map(int, file.read_text().split()):
                    found[pid] = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return max(found, key=lambda pid: found[pid], default=None)

    def state(self, prompt: str) -> str | None:
        """As the history has it."""
        with contextlib.suppress(sqlite3.Error):
            rows = self.rows("SELECT state FROM jobs WHERE request LIKE ?", f'%"{prompt}"%')
            return rows[-1][0] if rows else None
        return None

    def rows(self, query: str, *values: str) -> list[tuple]:
        with contextlib.closing(
            sqlite3.connect(f"file:{self.outputs / 'history.sqlite'}?mode=ro", uri=True)
        ) as database:
            return database.execute(query, values).fetchall()

    def lost(self) -> int:
        """Videos that were ready and are not on disk, whole, any more."""
        import av
        from av.error import FFmpegError

        whole = 0
        for path in self.outputs.glob("*.mp4"):
            with contextlib.suppress(FFmpegError), av.open(str(path)) as container:
                whole += sum(1 for _ in container.decode(video=0)) > 0
        return max(0, self.finished - whole)

    def leftovers(self) -> list[str]:
        """Hidden files that nobody will finish."""
        return [path.name for path in self.outputs.glob(".*") if path.name != ".studio.lock"]


def killed_worker(trial: Trial) -> None:
    trial.make("before the worker died")
    ended = trial.hold("the worker dies here")
    worker = trial.worker()
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    made = ended()
    assert made.state == "failed" and "worker" in made.words, made
    assert trial.state("the worker dies here") == "failed"
    trial.make("after the worker died")
    assert trial.worker() != worker and trial.leftovers() == []


def killed_server(trial: Trial) -> None:
    trial.make("before the server died")
    ended = trial.hold("the server dies here")
    worker = trial.worker()
    trial.studio.process.kill()
    assert ended().state == "gone"
    wait_for(lambda: not Path(f"/proc/{worker}/status").exists() or "Z" in _status(worker))
    trial.restart()
    assert trial.state("before the server died") == "finished" and trial.state("the server dies here") == "failed"
    trial.make("after the server died")


def full_disk(trial: Trial) -> None:
    trial.make("before the disk was full")
    with _no_room(trial):
        made = trial.visitor().generate("Sketch", "no room for this")
        assert made.state == "failed" and made.words, made
    trial.make("after there was room again")
    trial.restart()
    assert trial.state("no room for this") in ("failed", None) and trial.leftovers() == []
    trial.make("after a restart")


def read_only_outputs(trial: Trial) -> None:
    trial.make("before the folder was closed")
    with _closed(trial.outputs):
        made = trial.visitor().generate("Sketch", "nowhere to write")
        assert made.state == "failed" and made.words, made
    trial.make("after the folder was opened")
    assert trial.leftovers() == []


def corrupt_history(trial: Trial) -> None:
    trial.make("before the history was damaged")
    file = trial.outputs / "history.sqlite"
    file.write_bytes(os.urandom(20_000))  # while it is open
    trial.make("while the history is damaged")
    trial.restart()
    trial.make("after a restart")
    trial.restart(lambda: file.write_bytes(os.urandom(20_000)))
    trial.make("after another restart")
    # SQLite may have mended the file from its journal; if not, it stands aside and a new one was begun
    kept = [row[0] for row in trial.rows("SELECT request FROM jobs WHERE state='finished'")]
    beside = sorted(path.name for path in trial.outputs.glob("history.sqlite*"))
    assert any("after another restart" in request for request in kept), f"{kept} {beside}"


def removed_weights(trial: Trial) -> None:
    weights, away = trial.folder / "weights", trial.folder / "away"
    trial.make("a red cube spins", "RepVideo")
    weights.rename(away)
    made = trial.visitor().generate("RepVideo", "a red ball bounces")  # what is in memory may serve
    assert made.state == "done" or (made.state == "failed" and "weights" in made.words), made
    trial.finished += made.state == "done"
    worker = trial.worker()
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: trial.worker() != worker)
    made = trial.visitor().generate("RepVideo", "a red cone slides")
    assert made.state == "failed" and "weights" in made.words, made
    away.rename(weights)
    trial.make("a red torus orbits", "RepVideo")


def jumping_clock(trial: Trial) -> None:
    clock = trial.folder / "clock"
    for jump in (86_400, -172_800):
        ended = trial.hold(f"the clock jumps by {jump} seconds")
        clock.write_text(str(jump))
        trial.studio.release.touch()
        made = ended()
        assert made.state == "done" and made.seconds < PATIENCE_SECONDS
        trial.finished += 1
        trial.make(f"after a jump by {jump} seconds")
    seconds = [row[0] for row in trial.rows("SELECT seconds FROM jobs WHERE state='finished'")]
    assert all(0 <= value < PATIENCE_SECONDS for value in seconds), seconds
    trial.restart()
    assert len(trial.rows("SELECT id FROM jobs WHERE state='finished'")) == trial.finished


def gone_client(trial: Trial) -> None:
    for number in range(8):
        Visitor.start(trial.visitor(f"a visitor who closes the browser, number {number}"), "Sketch", f"left {number}")
    wait_for(lambda: len(trial.rows("SELECT id FROM jobs WHERE state='finished'")) == 8)
    trial.finished += 8
    trial.make("who stayed")


CASES: dict[str, Callable[[Trial], None]] = {
    "worker killed in mid-job": killed_worker,
    "server killed in mid-job": killed_server,
    "disk full": full_disk,
    "output folder read-only": read_only_outputs,
    "history damaged, running and at start": corrupt_history,
    "weights removed while running": removed_weights,
    "clock jumps a day on, two back": jumping_clock,
    "eight clients gone": gone_client,
}


def with_own_weights(folder: Path) -> Path:
    """RepVideo's pocket preset over a copy of its weights below `folder`."""
    shutil.copytree(ROOT / "models/pocket/weights/repvideo", folder / "weights/repvideo")
    shutil.copytree(ROOT / "models/pocket/weights/cogvideox", folder / "weights/cogvideox")
    preset = yaml.safe_load((ROOT / "presets/repvideo/pocket.yaml").read_text(encoding="utf-8"))
    place = "models/pocket/weights/"
    for name, value in preset["weights"].items():
        if isinstance(value, str) and value.startswith(place):
            preset["weights"][name] = str(folder / "weights" / value.removeprefix(place))
    preset["request"]["num_inference_steps"] = 2
    target = folder / "presets/repvideo/pocket.yaml"
    target.parent.mkdir(parents=True)
    target.write_text(yaml.safe_dump({**preset, "examples": []}), encoding="utf-8")
    return folder / "presets"


def wait_for(true: Callable[[], bool]) -> None:
    """AssertionError when it does not become true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end, "it never came true"
        threading.Event().wait(LOOK_EVERY_SECONDS)


@contextlib.contextmanager
def _no_room(trial: Trial) -> Iterator[None]:
    """No file of the studio may grow beyond a kilobyte: to a program that is a full disk, and it needs no rights."""
    pids = [trial.studio.process.pid, worker] if (worker := trial.worker()) else [trial.studio.process.pid]
    before = [resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids]
    for pid, (_, hard) in zip(pids, before, strict=True):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1024, hard))
    try:
        yield
    finally:
        for pid, limit in zip(pids, before, strict=True):
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)


@contextlib.contextmanager
def _closed(folder: Path) -> Iterator[None]:
    """No new file in a folder. Who is root needs another way than rights."""
    if os.geteuid():
        folder.chmod(0o555)
    else:
        subprocess.run(["chattr", "+i", str(folder)], check=True)
    try:
        yield
    finally:
        if os.geteuid():
            folder.chmod(0o755)
        else:
            subprocess.run(["chattr", "-i", str(folder)], check=True)


def _ticks(pid: int) -> int:
    """Processor time of a process, in ticks."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    except OSError:
        return -1


def _status(pid: int | None) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/status").read_text().partition("State:")[2].partition("\n")[0]
    return "Z"
