"""Job and JobQueue: order, position, stop, and one list of events per job that any number of readers may replay.

Threads only; neither gradio nor torch. The page holds a job id and nothing else.
"""

from __future__ import annotations

import contextvars
import copy
import dataclasses
import functools
import itertools
import logging
import secrets
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from models.method import Request
from studio.events import (
    TERMINAL,
    Event,
    Failed,
    Finished,
    InspectSpec,
    JobSpec,
    Loading,
    Progress,
    Seen,
    Started,
    Stopped,
    StudioError,
    Waiting,
)
from studio.fair_order import FairOrder
from studio.limits import Limits

if TYPE_CHECKING:
    from studio.executors import Executor
    from studio.history import History
    from studio.presets import Preset

__all__ = [
    "TERMINAL", "Event", "Failed", "Finished", "Job", "JobQueue", "JobSpec", "Loading", "Progress", "QueueFull",
    "Started", "Stopped", "StudioError", "Waiting",
]  # fmt: skip

EXPECTED = 4  # waiting jobs that the executor is told of
FINISHED_JOBS_KEPT = 200  # older ones are forgotten here; the history has them
logger = logging.getLogger(__name__)


class QueueFull(ValueError):
    """Too many jobs wait already."""


class Job:
    """One request on its way to a video."""

    def __init__(self, spec: JobSpec, owner: str) -> None:
        self.id = spec.id
        self.owner = owner
        self.preset_name = spec.preset
        self.method = spec.method
        self.request: Request = spec.request
        self.created = time.time()
        self.spec = spec
        self.asked_in = contextvars.copy_context()  # a lent GPU is counted to the visitor whose request asked for it
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._stop = threading.Event()

    def events(self, since: int = 0, apart: float = 0.0) -> Iterator[Event]:
        """Every event from number `since` on, waiting for those to come; ends after the terminal one.

        `apart`: seconds between two looks at what is new; the end is told at once.
        """
        while True:
            with self._changed:
                while len(self._events) <= since and not self.done:
                    self._changed.wait()
                fresh = self._events[since:]
                done = self.done
            yield from fresh
            since += len(fresh)
            if done:
                return
            with self._changed:
                self._changed.wait_for(lambda: self.done, apart)

    @property
    def latest(self) -> Event | None:
        with self._changed:
            return self._events[-1] if self._events else None

    @property
    def done(self) -> bool:
        return isinstance(self.latest, TERMINAL)

    @property
    def state(self) -> str:
        """waiting, running, finished, failed or stopped."""
        latest = self.latest
        if latest is None or isinstance(latest, Waiting):
            return "waiting"
        return {Finished: "finished", Failed: "failed", Stopped: "stopped"}.get(type(latest), "running")

    def emit(self, event: Event) -> None:
        """Add an event; whatever comes after the terminal one is dropped."""
        with self._changed:
            if self.done:
                return
            if isinstance(event, TERMINAL):  # pictures of steps are of use only while the job runs
                self._events = [_without_preview(past) for past in self._events]
            self._events.append(event)
            self._changed.notify_all()

    def stop(self) -> None:
        self._stop.set()

    def asked_with(self, files: Collection[Path]) -> bool:
        """Whether its request names one of these files."""
        values = vars(self.request).values()
        return any(isinstance(value, Path) and value.resolve() in files for value in values)

    def forget_files(self) -> None:
        """Drop the pictures from the request; a worker that has it already goes on until it stops."""
        kept = copy.copy(self.request)
        for name, value in vars(kept).items():
            if isinstance(value, Path):
                setattr(kept, name, None)
        self.request = kept
        self.spec = dataclasses.replace(self.spec, request=kept)

    def stop_requested(self) -> bool:
        return self._stop.is_set()


class JobQueue:
    """Runs jobs on `executor`, visitors in turns; as many at once as it takes."""

    def __init__(
        self, executor: Executor, history: History | None = None, max_queue: int = 20, limits: Limits | None = None
    ) -> None:
        self._executor = executor
        self._history = history
        self._max_queue = max_queue
        self._limits = limits or Limits()
        self._jobs: dict[str, Job] = {}  # in order of submission
        self._waiting: FairOrder[Job] = FairOrder()
        self._running: list[Job] = []
        self._closed = False
        self._changed = threading.Condition()
        lanes = range(getattr(executor, "parallel", 1))
        self._threads = [threading.Thread(target=self._work, name=f"job queue {n}", daemon=True) for n in lanes]
        for thread in self._threads:
            thread.start()

    def submit(self, preset: Preset, request: Request, owner: str) -> Job:
        """Queue a request and return at once. ValueError, in words, for what cannot be made or a full queue."""
        preset.check(request)
        self._limits.check(preset.recipe, request)
        spec = JobSpec(secrets.token_urlsafe(16), preset.key, preset.method.name, request, preset.recipe)
        job = Job(spec, owner)
        with self._changed:
            if self._closed:
                raise StudioError("The studio is closing and takes no new jobs.", "Start it again.")
            self._check_room(owner)
            self._record("add", job)
            self._jobs[job.id] = job
            self._waiting.add(job)
            self._forget_oldest()
            self._announce_positions()
            self._changed.notify_all()
        return job

    def stop(self, id: str, owner: str) -> bool:
        """Ask a job to stop. False when it is over already or is not this owner's."""
        job = self.get(id, owner)
        if job is None or job.done:
            return False
        with self._changed:
            job.stop()
            if job in self._waiting:
                self._waiting.remove(job)
                self._end(job, Stopped())
                self._announce_positions()
        return True

    def forget(self, owner: str, files: Collection[Path]) -> int:
        """Stop this owner's jobs that were asked with these files, and drop the files from all their requests.

        How many jobs were not over yet.
        """
        asked = [job for job in self.jobs(owner) if job.asked_with(files)]
        stopped = sum(self.stop(job.id, owner) for job in asked)
        for job in asked:
            job.forget_files()
        return stopped

    def get(self, id: str, owner: str) -> Job | None:
        """The job, if it is this owner's."""
        with self._changed:
            job = self._jobs.get(id)
        return job if job is not None and job.owner == owner else None

    def jobs(self, owner: str) -> list[Job]:
        """This owner's jobs, oldest first."""
        with self._changed:
            return [job for job in self._jobs.values() if job.owner == owner]

    def inspect(self, preset: Preset, field: str, picture: Path) -> tuple[Seen, ...] | Failed:
        """What the preset's method sees of a picture: beside the queue, and in no record."""
        if preset.method.inspector is None:
            raise ValueError(f"{preset.method.title} does not look at pictures beforehand.")
        recipe = preset.method.inspector(preset.weights)
        return self._executor.inspect(
            InspectSpec(secrets.token_urlsafe(16), preset.method.name, field, picture, recipe)
        )

    def close(self, timeout_seconds: float = 10.0) -> None:
        """Stop every job, end the worker, return when both are done."""
        with self._changed:
            self._closed = True
            for job in self._waiting:
                self._end(job, Stopped())
            self._waiting.clear()
            for job in self._running:
                job.stop()
            self._changed.notify_all()
        self._join(timeout_seconds)
        self._executor.close()
        self._join(timeout_seconds)

    def _join(self, timeout_seconds: float) -> None:
        for thread in self._threads:
            thread.join(timeout_seconds)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = self._waiting.take()
                self._running.append(job)
                self._announce_positions()
            self._run(job)
            with self._changed:
                self._running.remove(job)

    def _run(self, job: Job) -> None:
        job.emit(Started())
        try:
            emit = functools.partial(self._pass_on, job)
            job.asked_in.run(self._executor.run, job.spec, emit, job.stop_requested)
        except Exception:
            logger.exception("the executor failed on job %s", job.id)
        job.asked_in = contextvars.Context()  # nothing of the visitor's request is kept
        if not job.done:
            self._end(job, Failed("The job ended without a result.", "Generate it again; the log has the details."))

    def _pass_on(self, job: Job, event: Event) -> None:
        if isinstance(event, TERMINAL):
            self._end(job, event)
        else:
            job.emit(event)

    def _end(self, job: Job, event: Event) -> None:
        if not job.done:
            self._record("finish", job, event)  # before the event: whoever sees it finds the history up to date
            job.emit(event)

    def _record(self, action: str, *arguments: object) -> None:
        """Write to the history; a full disk there must not cost the person the video."""
        if self._history is None:
            return
        try:
            getattr(self._history, action)(*arguments)
        except Exception:
            logger.exception("the history could not be written")

    def _check_room(self, owner: str) -> None:
        count, most = self._waiting.count(owner), self._limits.waiting_each
        if most and count >= most:
            raise QueueFull(
                f"You have {count} jobs waiting, as many as one visitor may. Try again when some are done."
            )
        if len(self._waiting) >= self._max_queue:
            raise QueueFull(f"The queue is full: {len(self._waiting)} jobs are waiting. Try again in a few minutes.")

    def _announce_positions(self) -> None:
        ahead = max(0, len(self._running) - len(self._threads) + 1)  # with one thread: the one that runs
        for position, job in enumerate(self._waiting, start=ahead):
            if job.latest != Waiting(position):
                job.emit(Waiting(position))
        expect = getattr(self._executor, "expect", None)  # some executors have no use for it
        if expect is not None:
            expect([job.spec.recipe for job in itertools.islice(self._waiting, EXPECTED)])

    def _forget_oldest(self) -> None:
        over = [id for id, job in self._jobs.items() if job.done]
        for id in over[: max(0, len(over) - FINISHED_JOBS_KEPT)]:
            del self._jobs[id]


def _without_preview(event: Event) -> Event:
    return dataclasses.replace(event, preview=None) if isinstance(event, Progress) and event.preview else event
