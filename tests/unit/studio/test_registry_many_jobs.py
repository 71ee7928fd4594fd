"""Many jobs over the same weights: each reads what it must once, and gets what it would alone."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
import torch

from models.method import StopRequested
from tests.unit.studio.counting_device import CountingDevice
from tests.unit.studio.towers import GENEROUS, correct, recipe, registry_with, run_all


def test_the_second_job_reads_and_copies_no_weights(folder, answers):
    device = CountingDevice(GENEROUS)
    registry = registry_with(hardware=device)
    for _ in range(2):
        with registry.acquire(recipe(folder, "m", "text", "one")) as pipeline:
            assert correct(pipeline, answers, "text", "one")
        seen = registry.memory.fetches, device.uploaded, device.allocations
    assert seen == (2, device.uploaded, 4), "two readings, two copies, both by the first job"


def test_sixteen_first_requests_read_once_and_are_all_right(folder, answers):
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    right, start = [], threading.Barrier(16)

    def ask() -> None:
        start.wait()
        with registry.acquire(recipe(folder, "m", "text", "one")) as pipeline:
            right.append(correct(pipeline, answers, "text", "one"))

    run_all([ask] * 16)
    assert right == [True] * 16 and registry.memory.fetches == 2


def test_a_cancelled_waiter_does_not_cancel_the_others(folder, answers, monkeypatch):
    from studio.registry import fetching

    hold, reading = threading.Event(), threading.Event()
    fill = fetching.fill

    def slow(*arguments: Any) -> None:
        reading.set()
        assert hold.wait(60)
        fill(*arguments)

    monkeypatch.setattr(fetching, "fill", slow)
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    right, gone = [], threading.Event()

    def patient() -> None:
        with registry.acquire(recipe(folder, "m", "one")) as pipeline:
            right.append(correct(pipeline, answers, "one"))

    def hasty() -> None:
        assert reading.wait(60)

        def stop(name: str, done: int, total: int) -> None:
            raise StopRequested

        with pytest.raises(StopRequested), registry.acquire(recipe(folder, "m", "one"), stop):
            pass
        gone.set()

    def release() -> None:
        assert gone.wait(60)
        hold.set()

    run_all([patient, hasty, release])
    assert right == [True] and registry.memory.fetches == 1


@pytest.mark.parametrize("separate", [True, False])
def test_eight_users_with_two_hundred_jobs_all_get_what_they_would_alone(folder, answers, sizes, separate):
    """A tenth of the jobs is cancelled, memory is short, users do not wait for each other."""
    device = CountingDevice(sizes["text"] + sizes["one"] + sizes["two"], separate=separate)
    registry = registry_with(hardware=device)
    outcomes: list[str] = []

    def user(seed: int) -> None:
        choice = random.Random(seed)
        for _ in range(25):
            names = ("text", choice.choice(["one", "two", "three"]), "vae")
            cancelled_at = choice.choice(names) if choice.random() < 0.1 else None
            try:
                with registry.acquire(recipe(folder, names[1], *names)) as pipeline:
                    for name in names:
                        if name == cancelled_at:
                            raise StopRequested
                        if not correct(pipeline, answers, name):
                            outcomes.append("wrong")
                outcomes.append("done")
            except StopRequested:
                outcomes.append("cancelled")

    run_all([lambda seed=seed: user(seed) for seed in range(8)])
    assert len(outcomes) == 200 and "wrong" not in outcomes and 5 < outcomes.count("cancelled") < 40
    registry.unload()
    assert (device.live, device.host_live, registry.memory.leases) == (0, 0, set())


def test_a_job_computes_the_same_while_other_methods_load(folder, answers):
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    end = threading.Event()

    def load() -> None:
        while not end.is_set():
            with registry.acquire(recipe(folder, "other", "one", "two", "three")):
                pass
            registry.unload()

    loader = threading.Thread(target=load)
    with registry.acquire(recipe(folder, "m", "text")) as pipeline:
        loader.start()
        right = [correct(pipeline, answers, "text") for _ in range(24)]
        end.set()
        loader.join()
    assert right == [True] * 24 and torch.get_default_dtype() == torch.float32


def test_reading_ahead_touches_no_module_and_serves_the_next_job(folder, answers):
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    registry.prefetch(recipe(folder, "m", "one", "two"))
    assert registry.status()["components"] == [], "the first job starts everything"
    assert registry.memory.fetches == 0
    registry.prefetch(recipe(folder, "m", "one", "two"))
    assert registry.memory.fetches == 2
    with registry.acquire(recipe(folder, "m", "one", "two")) as pipeline:
        assert correct(pipeline, answers, "one", "two")
    assert registry.memory.fetches == 2


@pytest.mark.parametrize("separate", [True, False])
def test_reading_ahead_never_makes_room_and_gives_way(folder, answers, sizes, separate):
    device = CountingDevice(sizes["one"] + sizes["two"] + 1, sizes["one"] + sizes["two"] + 1, separate)
    registry = registry_with(hardware=device)
    assert registry.memory.fetches == 0
    registry.prefetch(recipe(folder, "m", "one", "two", "three"))
    with registry.acquire(recipe(folder, "n", "text")) as pipeline:
        assert correct(pipeline, answers, "text")
    registry.unload()
    assert device.live == device.host_live == 0
