"""Jobs in one spawned worker process. A worker that dies fails its job with a message and is replaced."""

from __future__ import annotations

import contextlib
import logging
import math
import multiprocessing
import queue
import signal
import threading
import time
from collections.abc import Sequence
from typing import Any

from models.method import Recipe
from studio import outputs
from studio.events import TERMINAL, Failed, InspectSpec, JobSpec, Loading, Seen, Stopped
from studio.executors import Cancelled, Emit
from studio.executors.worker import work
from studio.settings import StudioSettings

POLL_SECONDS = 0.02  # between two looks at whether the job is to stop
END_SECONDS = 2.0  # a worker has this long to end before it is made to
UNLOAD_SECONDS = 10.0
INSPECT_SECONDS = 120.0  # a worker that starts and reads face models needs some
STARTS = 2  # workers a job may see die before it begins
GONE = Failed("The worker ended while it looked at the picture.", "Add the picture again.")
logger = logging.getLogger(__name__)


class ProcessExecutor:
    """Keeps one worker alive from the first `warm` or `run` on."""

    def __init__(self, settings: StudioSettings) -> None:
        self._settings = settings
        self._recipes: tuple[Recipe, ...] = ()
        self._worker: WorkerProcess | None = None
        self._closed = False
        self._lock = threading.RLock()  # guards the choice of worker
        self._running = threading.Lock()  # one job at a time

    def run(self, spec: JobSpec, emit: Emit, cancelled: Cancelled) -> None:
        with self._running:
            for _ in range(STARTS):
                worker = self._ready()
                if worker is None:
                    emit(Stopped())
                    return
                if worker.status["state"] == "starting":
                    emit(Loading("Starting the worker"))
                worker.busy = True
                try:
                    if self._follow(worker, spec, emit, cancelled):
                        return
                except BaseException:  # interrupted: no one waits for the video any more
                    worker.end()
                    outputs.remove_unfinished(spec, self._settings.output_dir)
                    raise
                finally:
                    worker.busy = False
            emit(Failed("The worker does not start.", "The log has the reason; restart the studio once it is mended."))

    def warm(self, recipes: Sequence[Recipe] = ()) -> None:
        with self._lock:
            self._recipes = tuple(recipes) or self._recipes
            worker, fresh = self._worker, self._worker is None
            if fresh:
                self._ready()
            elif worker is not None:
                for recipe in recipes:
                    worker.send("warm", recipe)

    def inspect(self, spec: InspectSpec) -> tuple[Seen, ...] | Failed:
        worker = self._ready()
        if worker is None:
            return Failed("The studio is closing.", "Start it again.")
        answer = worker.expect(spec.id)
        worker.send("inspect", spec)
        try:
            return answer.get(timeout=INSPECT_SECONDS)
        except queue.Empty:
            return Failed("Looking at the picture took too long.", "Try again, or use a smaller picture.")
        finally:
            worker.forget(spec.id)

    def expect(self, recipes: Sequence[Recipe]) -> None:
        """The jobs that wait, next first: their weights go last and are read ahead. No worker is started for it."""
        with self._lock:
            worker = self._worker
        if worker is not None:
            worker.send("expect", tuple(recipes))

    def status(self) -> dict[str, Any]:
        with self._lock:
            worker = self._worker
        if worker is None:
            return {"state": "absent", "device": self._settings.device, "bytes": 0, "components": []}
        return worker.status | ({"state": "busy"} if worker.busy else {})

    def unload(self) -> int:
        """0 while a job runs: what it uses stays."""
        with self._lock:
            worker = self._worker
        if worker is None or not self._running.acquire(blocking=False):
            return 0
        try:
            worker.send("unload", None)
            while (message := worker.messages.get(timeout=UNLOAD_SECONDS))[0] not in ("unloaded", "dead"):
                pass
            return message[1] if message[0] == "unloaded" else 0
        except queue.Empty:
            return 0
        finally:
            self._running.release()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()

    def _ready(self) -> WorkerProcess | None:
        """The living worker, a new one if need be; None once closed."""
        with self._lock:
            if self._closed:
                return None
            if self._worker is None or not self._worker.alive:
                self._worker = WorkerProcess(self._settings)
                for recipe in self._recipes:
                    self._worker.send("warm", recipe)
            return self._worker

    def _follow(self, worker: WorkerProcess, spec: JobSpec, emit: Emit, cancelled: Cancelled) -> bool:
        """Pass the job's events on until the terminal one, which is ours to find when the worker cannot.

        False when the worker died before it began, idle or at its start: another may take the job.
        """
        worker.send("job", spec)
        begun = told = False
        patience = math.inf
        while True:
            if time.monotonic() > patience:  # it computes where it cannot hear, or hangs
                worker.end()
                patience = math.inf
            if not told and cancelled():
                told = True
                patience = time.monotonic() + self._settings.stop_seconds
                worker.send("stop", spec.id)
                if not begun:  # it waits behind a load that may take long; the worker will skip it
                    emit(Stopped())
                    return True
            try:
                message = worker.messages.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if message[0] == "begun":
                begun = begun or message[1] == spec.id
            elif message[0] == "event" and message[1] == spec.id:
                emit(message[2])
                if isinstance(message[2], TERMINAL):
                    return True
            elif message[0] == "dead":
                if not begun:
                    return False
                outputs.remove_unfinished(spec, self._settings.output_dir)
                with contextlib.suppress(OSError):
                    self._ready()
                emit(Stopped() if told else _death(message[1]))
                return True


class WorkerProcess:
    """A worker as the server sees it: `messages` in order of arrival, `status` as last heard."""

    def __init__(self, settings: StudioSettings) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks in mid-use
        self._connection, theirs = context.Pipe()
        self._sending = threading.Lock()
        self.process = context.Process(target=work, args=(theirs, settings), name="quintet worker", daemon=True)
        self.messages: queue.Queue[tuple[Any, ...]] = queue.Queue()
        self.status: dict[str, Any] = {"state": "starting", "device": settings.device, "bytes": 0, "components": []}
        self.busy = False
        self._answers: dict[str, queue.SimpleQueue[tuple[Seen, ...] | Failed]] = {}  # to inspections under way
        self.process.start()
        theirs.close()  # or its end would never be noticed
        self._listener = threading.Thread(target=self._listen, name="worker listener", daemon=True)
        self._listener.start()

    @property
    def alive(self) -> bool:
        return self.status["state"] != "dead" and self.process.is_alive()

    def send(self, kind: str, content: Any) -> None:
        """A dead worker's pipe is no error here: `messages` tells of its death."""
        with self._sending, contextlib.suppress(OSError):
            self._connection.send((kind, content))

    def expect(self, id: str) -> queue.SimpleQueue[tuple[Seen, ...] | Failed]:
        """Where the answer to an inspection will come, its worker's death included."""
        answer = self._answers[id] = queue.SimpleQueue()
        if not self.alive:
            answer.put(GONE)
        return answer

    def forget(self, id: str) -> None:
        self._answers.pop(id, None)

    def end(self) -> None:
        """Ask the worker to end; force it if it does not hear."""
        self.send("close", None)
        for force in (self.process.terminate, self.process.kill):
            self.process.join(END_SECONDS)
            if not self.process.is_alive():
                break
            force()
        self._listener.join(END_SECONDS)

    def _listen(self) -> None:
        try:
            while True:
                message = self._connection.recv()
                if message[0] == "status":
                    self.status = {"state": "ready", **message[1]}
                elif message[0] == "seen":
                    if answer := self._answers.get(message[1]):
                        answer.put(message[2])
                else:
                    self.messages.put(message)
        except (EOFError, OSError):  # the worker is gone
            self.process.join(END_SECONDS)
            with self._sending:
                self._connection.close()
        self.status = self.status | {"state": "dead", "bytes": 0, "components": []}
        self.messages.put(("dead", self.process.exitcode))
        for answer in list(self._answers.values()):
            answer.put(GONE)


def _death(exitcode: int | None) -> Failed:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        how = f"was ended by the system ({name})" if -exitcode != signal.SIGKILL else f"was killed ({name})"
    else:
        how = f"ended by itself (code {exitcode})"
    return Failed(
        f"The worker {how} while it made this video.",
        "It has been replaced: generate again. If it happens again, memory may be short; choose fewer frames.",
    )
