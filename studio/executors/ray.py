"""Jobs on many GPUs, on one machine or several: one Ray actor per GPU, each with a registry of its own.

Ray places, restarts and reaches them; the registry inside each owns its memory. Needs requirements-ray.txt.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from models.method import Recipe
from studio import outputs
from studio.events import TERMINAL, Event, Failed, InspectSpec, JobSpec, Loading, Seen, Stopped, StudioError
from studio.executors import Cancelled, Emit
from studio.executors.routing import Router
from studio.settings import StudioSettings

TRIES = 2  # replicas a job may see die
STATUS_SECONDS = 5.0
logger = logging.getLogger(__name__)


class ReplicaLost(Exception):
    """The replica is gone, and what it was computing with it."""


class Replica(Protocol):
    """A worker somewhere, one job at a time. Every method raises ReplicaLost once it is gone."""

    def generate(self, spec: JobSpec) -> Iterator[Event]: ...

    def stop(self, id: str) -> None: ...

    def warm(self, recipe: Recipe) -> None: ...

    def inspect(self, spec: InspectSpec) -> tuple[Seen, ...] | Failed: ...

    def status(self) -> dict[str, Any]: ...

    def unload(self) -> int: ...

    def kill(self) -> None: ...


class RayExecutor:
    """As many jobs at once as there are replicas. `start` makes one; it is Ray's unless a test says otherwise."""

    def __init__(self, settings: StudioSettings, start: Callable[[StudioSettings], Replica] | None = None) -> None:
        if start is None:
            connect()
            start = RayReplica
        self._settings, self._start = settings, start
        self.parallel = settings.replicas or (available_gpus() if start is RayReplica else 1)
        self._replicas = [start(settings) for _ in range(self.parallel)]
        self.router = Router(list(self._replicas))
        self._lock = threading.Lock()
        self._running: dict[str, Replica] = {}
        self._closed = False

    def run(self, spec: JobSpec, emit: Emit, cancelled: Cancelled) -> None:
        for _ in range(TRIES):
            replica = self.router.take(spec.method, cancelled)
            if replica is None:
                emit(Stopped())
                return
            with self._lock:
                self._running[spec.id] = replica
            try:
                if self._follow(replica, spec, emit, cancelled):
                    self.router.give_back(replica)
                    return
            except ReplicaLost:
                self._replace(replica)
                outputs.remove_unfinished(spec, self._settings.output_dir)
                if cancelled() or self._closed:
                    emit(Stopped())
                    return
                emit(Loading("A worker was lost; starting again on another"))
            except BaseException:
                self._replace(replica)
                raise
            finally:
                with self._lock:
                    self._running.pop(spec.id, None)
        emit(Failed("The workers that made this video died.", "Generate it again; choose fewer frames if it repeats."))

    def warm(self, recipes: Sequence[Recipe] = ()) -> None:
        """A method per replica, in turn."""
        for number, recipe in enumerate(recipes):
            with contextlib.suppress(ReplicaLost):
                self._replicas[number % len(self._replicas)].warm(recipe)

    def inspect(self, spec: InspectSpec) -> tuple[Seen, ...] | Failed:
        """On a replica that has no job, if there is one."""
        busy = set(map(id, self._running.values()))
        replica = min(self._replicas, key=lambda replica: id(replica) in busy)
        try:
            return replica.inspect(spec)
        except ReplicaLost:
            return Failed("The worker died while it looked at the picture.", "Try again.")

    def status(self) -> dict[str, Any]:
        """Of all replicas together; one that does not answer counts as starting."""
        found = []
        for replica in list(self._replicas):
            with contextlib.suppress(ReplicaLost, TimeoutError):
                found.append(replica.status())
        state = "busy" if self._running else "ready" if found else "starting"
        totals = {name: sum(status.get(name, 0) for status in found) for name in ("bytes", "host_bytes", "budget")}
        components = [component for status in found for component in status["components"]]
        return {"state": state, "device": f"{self.parallel} workers", **totals, "components": components}

    def replica_of(self, id: str) -> Replica | None:
        """Where a job runs now."""
        return self._running.get(id)

    def unload(self) -> int:
        """0 while jobs run: what they use stays."""
        if self._running:
            return 0
        freed = 0
        for replica in list(self._replicas):
            with contextlib.suppress(ReplicaLost):
                freed += replica.unload()
        return freed

    def close(self) -> None:
        self._closed = True
        for replica in self._replicas:
            with contextlib.suppress(ReplicaLost):
                replica.kill()

    def _follow(self, replica: Replica, spec: JobSpec, emit: Emit, cancelled: Cancelled) -> bool:
        """Pass events on until the terminal one; False when there was none."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.05):
                if cancelled():
                    with contextlib.suppress(ReplicaLost):
                        replica.stop(spec.id)
                    return

        watcher = threading.Thread(target=watch, name="watch for stop", daemon=True)
        watcher.start()
        try:
            for event in replica.generate(spec):
                emit(event)
                if isinstance(event, TERMINAL):
                    return True
            raise ReplicaLost("it ended without a result")
        finally:
            done.set()
            watcher.join()

    def _replace(self, lost: Replica) -> None:
        with contextlib.suppress(ReplicaLost):
            lost.kill()
        if self._closed:
            return
        logger.warning("a replica is lost; another takes its place")
        new = self._start(self._settings)
        with self._lock:
            self._replicas = [new if replica is lost else replica for replica in self._replicas]
        self.router.replace(lost, new)


class Worker:
    """Runs inside a Ray actor: an engine, and ears for a stop while it computes."""

    def __init__(self, settings: StudioSettings) -> None:
        from studio.engine import Engine
        from studio.executors.worker import set_threads

        set_threads(settings.threads)
        self._engine = Engine(settings)
        self._one_at_a_time = threading.Lock()
        self._stopped: set[str] = set()

    def generate(self, spec: JobSpec) -> Iterator[Event]:
        from studio.executors.zerogpu import stream_events

        with self._one_at_a_time:
            events = stream_events(self._engine, spec)
            for event in events:
                yield event
                if spec.id in self._stopped and not isinstance(event, TERMINAL):
                    self._stopped.discard(spec.id)
                    events.close()
                    yield Stopped()
                    return

    def stop(self, id: str) -> None:
        self._stopped.add(id)

    def warm(self, recipe: Recipe) -> None:
        with self._one_at_a_time:
            self._engine.warm(recipe)

    def inspect(self, spec: InspectSpec) -> tuple[Seen, ...] | Failed:
        return self._engine.inspect(spec)

    def status(self) -> dict[str, Any]:
        return {"process": os.getpid(), **self._engine.registry.status()}

    def unload(self) -> int:
        with self._one_at_a_time:
            return self._engine.registry.unload()


class RayReplica:
    """A Ray actor as the executor sees it."""

    def __init__(self, settings: StudioSettings) -> None:
        self._ray = ray = ray_library()
        gpus = 1 if available_gpus(0) else 0
        # several threads, so that a stop is heard while a job computes
        actor = ray.remote(num_gpus=gpus, num_cpus=1, max_concurrency=4, max_restarts=0)(Worker)
        self._actor = actor.remote(settings)

    def generate(self, spec: JobSpec) -> Iterator[Event]:
        with self._losses():
            for reference in self._actor.generate.options(num_returns="streaming").remote(spec):
                yield self._ray.get(reference)

    def stop(self, id: str) -> None:
        with self._losses():
            self._ray.get(self._actor.stop.remote(id))

    def warm(self, recipe: Recipe) -> None:
        self._actor.warm.remote(recipe)

    def inspect(self, spec: InspectSpec) -> tuple[Seen, ...] | Failed:
        with self._losses():
            return self._ray.get(self._actor.inspect.remote(spec))

    def status(self) -> dict[str, Any]:
        with self._losses():
            return self._ray.get(self._actor.status.remote(), timeout=STATUS_SECONDS)

    def unload(self) -> int:
        with self._losses():
            return self._ray.get(self._actor.unload.remote())

    def kill(self) -> None:
        self._ray.kill(self._actor)

    @contextlib.contextmanager
    def _losses(self) -> Iterator[None]:
        try:
            yield
        except self._ray.exceptions.GetTimeoutError as error:
            raise TimeoutError from error
        except self._ray.exceptions.RayActorError as error:
            raise ReplicaLost(str(error)) from error


def connect() -> None:
    """Join the cluster that RAY_ADDRESS names, or start one on this machine. StudioError without Ray."""
    ray = ray_library()
    if not ray.is_initialized():
        ray.init(ignore_reinit_error=True, include_dashboard=False, log_to_driver=False)


def ray_library() -> Any:
    """Ray itself. StudioError with the command that installs it."""
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise StudioError(
            "Running on several GPUs needs Ray, which is not installed.", "pip install -r requirements-ray.txt"
        ) from error


def available_gpus(otherwise: int = 1) -> int:
    """GPUs in the cluster; `otherwise` when there are none."""
    return int(ray_library().cluster_resources().get("GPU", 0)) or otherwise
