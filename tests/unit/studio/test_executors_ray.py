"""Many replicas: routing by warm weights, a lost one replaced, stops.

Replicas are threads here; `make ray-demo` does the same with actors.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from models.method import Recipe
from studio.engine import Engine
from studio.events import Event, Failed, Finished, InspectSpec, JobSpec, Loading, Progress, Stopped
from studio.executors.ray import RayExecutor, ReplicaLost, Worker
from studio.executors.routing import Router
from studio.jobs import JobQueue
from studio.settings import StudioSettings


class ThreadReplica:
    """Behaves as an actor handle: events one by one, and ReplicaLost for whoever listens when it is killed."""

    made: list[ThreadReplica]

    def __init__(self, settings: StudioSettings) -> None:
        self._worker = Worker(settings)
        self.killed = threading.Event()
        self.warmed: list[str] = []
        self.made.append(self)

    def generate(self, spec: JobSpec) -> Iterator[Event]:
        for event in self._worker.generate(spec):
            self._check()
            yield event

    def stop(self, id: str) -> None:
        self._check()
        self._worker.stop(id)

    def warm(self, recipe: Recipe) -> None:
        self.warmed.append(recipe.method)

    def inspect(self, spec: InspectSpec) -> Any:
        self._check()
        return self._worker.inspect(spec)

    def status(self) -> dict[str, Any]:
        self._check()
        return self._worker.status()

    def unload(self) -> int:
        return self._worker.unload()

    def kill(self) -> None:
        self.killed.set()

    def _check(self) -> None:
        if self.killed.is_set():
            raise ReplicaLost("killed")


@pytest.fixture
def executor(settings):
    ThreadReplica.made = []
    settings.replicas = 2
    executor = RayExecutor(settings, ThreadReplica)
    yield executor
    executor.close()


@pytest.fixture
def jobs(executor):
    jobs = JobQueue(executor, max_queue=100)
    yield jobs
    jobs.close()


def at_step(job, index: int) -> None:
    for event in job.events():
        if isinstance(event, Progress) and event.index >= index:
            return


def test_two_replicas_run_two_jobs_at_once(jobs, preset, ask, tmp_path):
    release = tmp_path / "release"
    held = [jobs.submit(preset, ask(hold_at_step=1, release_file=str(release), seed=seed), "ann") for seed in range(2)]
    for job in held:
        at_step(job, 1)  # both are in their first step: neither waits for the other
    waiting = jobs.submit(preset, ask(), "ann")
    assert waiting.state == "waiting" and waiting.latest.position == 1
    release.touch()
    assert all(isinstance(list(job.events())[-1], Finished) for job in (*held, waiting))


def test_a_lost_replica_is_replaced_and_its_job_begins_again_while_others_go_on(jobs, executor, preset, ask, tmp_path):
    release = tmp_path / "release"
    other = jobs.submit(preset, ask(hold_at_step=1, release_file=str(release)), "ann")
    at_step(other, 1)
    victim = jobs.submit(preset, ask(num_inference_steps=100, seconds_per_step=0.05), "ann")
    at_step(victim, 2)
    busy = {id(replica) for replica in executor._replicas} - {id(replica) for replica in executor.router._free}
    assert len(busy) == 2
    ThreadReplica.made[1].kill()
    events = list(victim.events())
    assert isinstance(events[-1], Finished) and Loading("A worker was lost; starting again on another") in events
    release.touch()
    assert isinstance(list(other.events())[-1], Finished) and len(ThreadReplica.made) == 3


def test_a_job_that_kills_every_replica_fails_and_the_next_one_runs(jobs, executor, preset, ask, monkeypatch):
    def die(self: Any, spec: JobSpec) -> Iterator[Event]:
        yield Loading("about to die")
        raise ReplicaLost("again")

    with monkeypatch.context() as patch:
        patch.setattr(ThreadReplica, "generate", die)
        last = list(jobs.submit(preset, ask(), "ann").events())[-1]
    assert isinstance(last, Failed) and last.advice
    assert isinstance(list(jobs.submit(preset, ask(), "ann").events())[-1], Finished)


def test_stop_reaches_the_replica(jobs, executor, preset, ask):
    job = jobs.submit(preset, ask(num_inference_steps=1000, seconds_per_step=0.02), "ann")
    at_step(job, 2)
    assert jobs.stop(job.id, "ann")
    assert isinstance(list(job.events())[-1], Stopped)
    assert isinstance(list(jobs.submit(preset, ask(), "ann").events())[-1], Finished)
    assert len(ThreadReplica.made) == 2, "a stop costs no replica"


def test_status_and_unload_cover_all_replicas(executor, preset):
    executor.warm([preset.recipe])
    assert ThreadReplica.made[0].warmed == ["sketch"]
    assert executor.status()["state"] == "ready" and executor.status()["device"] == "2 workers"
    ThreadReplica.made[0].kill()
    assert executor.status()["state"] == "ready" and executor.unload() == 0


def test_jobs_of_two_methods_find_their_weights_warm_nine_times_in_ten():
    router = Router(["a", "b"])
    choice = random.Random(0)
    held: list[str] = []
    for _ in range(200):
        method = choice.choice(["one", "two"])
        replica = router.take(method)
        assert replica is not None
        held.append(replica)
        router.give_back(held.pop(0))
    assert router.hits / (router.hits + router.misses) >= 0.9


def test_a_hot_method_spreads_when_many_wait_and_a_waiter_can_give_up():
    router = Router(["a", "b"])
    assert (router.take("one"), router.take("two")) == ("a", "b"), "an unused replica before a wait"
    router.give_back("b")
    assert router.take("one", given_up=lambda: True) is None, "it waits for the warm one"
    router._waiting["one"] = 9
    assert router.take("one") == "b"
    assert router.take("two", given_up=lambda: True) is None, "none is free"
    router.replace("a", "c")
    assert router.take("two") == "c"


def test_an_engine_is_made_once_per_replica(executor):
    assert len({id(replica._worker._engine) for replica in ThreadReplica.made}) == 2
    assert all(isinstance(replica._worker._engine, Engine) for replica in ThreadReplica.made)
