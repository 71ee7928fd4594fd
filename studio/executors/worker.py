"""The worker process's side of the pipe: takes jobs one by one, ends with the server."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import signal
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.method import Recipe
from studio.events import Event, InspectSpec, JobSpec
from studio.settings import StudioSettings

if TYPE_CHECKING:
    from studio.engine import Engine

FIRST, LATER = 0, 1  # jobs come before weights that are only likely to be needed
logger = logging.getLogger(__name__)


def work(connection: Connection, settings: StudioSettings) -> None:
    """The worker's main. In come (kind, content), out go ("status" | "begun" | "event" | "seen" | "unloaded", ...)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server ends us in order
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s worker: %(message)s")
    set_threads(settings.threads)
    from studio.engine import Engine

    Worker(connection, Engine(settings)).serve()


class Worker:
    """A thread listens, so that a stop is heard in mid-job and the server's end at any time; this one computes.

    Another looks at pictures: a person who chooses a face does not wait for the video of somebody else. A third reads
    the next job's weights while this job computes.
    """

    def __init__(self, connection: Connection, engine: Engine) -> None:
        self._connection = connection
        self._engine = engine
        self._tasks: queue.PriorityQueue[tuple[int, int, str, Any]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._stopped: set[str] = set()
        self._pictures: queue.SimpleQueue[InspectSpec] = queue.SimpleQueue()
        self._expected: queue.SimpleQueue[Sequence[Recipe]] = queue.SimpleQueue()
        self._sending = threading.Lock()

    def serve(self) -> None:
        threading.Thread(target=self._listen, name="listener", daemon=True).start()
        threading.Thread(target=self._look, name="looks at pictures", daemon=True).start()
        threading.Thread(target=self._read_ahead, name="reads ahead", daemon=True).start()
        while True:
            self._report()
            _, _, kind, content = self._tasks.get()
            getattr(self, f"_{kind}")(content)

    def _listen(self) -> None:
        try:
            while True:
                kind, content = self._connection.recv()
                if kind == "close":
                    os._exit(0)
                elif kind == "stop":
                    self._stopped.add(content)
                elif kind == "inspect":
                    self._pictures.put(content)
                elif kind == "expect":
                    self._expected.put(content)
                else:
                    self._tasks.put((LATER if kind == "warm" else FIRST, next(self._order), kind, content))
        except (EOFError, OSError):
            os._exit(0)  # the server is gone: whatever is being computed has no one to go to
        except Exception:  # a request whose class cannot be imported here; deaf, this worker would be of no use
            logger.exception("a message cannot be read")
            os._exit(1)

    def _look(self) -> None:
        while True:
            spec = self._pictures.get()
            self._send("seen", spec.id, self._engine.inspect(spec))

    def _read_ahead(self) -> None:
        while True:
            recipes = self._expected.get()
            try:
                self._engine.registry.expect(recipes)
                for recipe in recipes[:1]:
                    self._engine.registry.prefetch(recipe)
            except Exception:  # reading ahead only saves time; the job itself will say what is wrong
                logger.exception("the next job's weights cannot be read ahead")

    def _job(self, spec: JobSpec) -> None:
        if spec.id not in self._stopped:
            self._send("begun", spec.id)

            def emit(event: Event) -> None:
                self._send("event", spec.id, event)

            self._engine.generate(spec, emit, lambda: spec.id in self._stopped)
        self._stopped.discard(spec.id)

    def _warm(self, recipe: Recipe) -> None:
        try:
            self._engine.warm(recipe)
        except Exception as error:  # the first job will say so to the person it concerns
            logger.warning("%s cannot be prepared: %s", recipe.method, error)

    def _unload(self, _: Any) -> None:
        self._send("unloaded", self._engine.registry.unload())

    def _report(self) -> None:
        self._send("status", self._engine.registry.status())

    def _send(self, *message: Any) -> None:
        try:
            with self._sending:
                self._connection.send(message)
        except OSError:
            os._exit(0)


def set_threads(threads: int) -> None:
    """Decide how many threads torch uses, before torch is imported. A number set outside wins over 0."""
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    else:
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    # A thread that waits spins for some microseconds and then sleeps: without, small networks take twice as long; with
    # more, threads that spin take the core the page needs. Named so by GNU's OpenMP, which torch brings for Linux.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def usable_cores() -> int:
    """Cores this process may use: a container's share counts, not the machine's size."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup, or "max"
        return cores
