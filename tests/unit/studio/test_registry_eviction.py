"""What goes when room is needed, and how quickly that is decided."""

from __future__ import annotations

import itertools
import random
import time

from studio.registry.ledger import Candidate, choose_evictions
from tests.unit.studio.counting_device import CountingDevice
from tests.unit.studio.towers import correct, recipe, registry_with


def test_an_evicted_network_comes_back_from_this_machines_memory(folder, answers, sizes):
    device = CountingDevice(max(sizes["one"], sizes["two"]))
    registry = registry_with(hardware=device)
    for name in itertools.islice(itertools.cycle(["one", "two"]), 6):
        with registry.acquire(recipe(folder, name, name)) as pipeline:
            assert correct(pipeline, answers, name)
    assert registry.memory.fetches == 2, "read once each, copied six times"


def test_what_the_queue_needs_goes_last(folder, sizes):
    device = CountingDevice(sizes["one"] + sizes["two"] + 1)
    registry = registry_with(hardware=device)
    for name in ("one", "two"):
        with registry.acquire(recipe(folder, name, name)):
            pass
    registry.expect([recipe(folder, "one", "one")])  # the older one
    with registry.acquire(recipe(folder, "three", "three")):
        places = {c["names"][0]: c["place"] for c in registry.status()["components"]}
    assert places == {"one": "counting", "two": "ram", "three": "counting"}


def test_two_hundred_switches_end_where_they_began(folder, answers, sizes):
    device = CountingDevice(int(sum(sizes.values()) * 0.4) + sizes["text"])
    registry = registry_with(hardware=device)
    order = random.Random(0)
    resting: set[tuple[int, int]] = set()
    for switch in range(200):
        name = order.choice(["one", "two", "three"])
        with registry.acquire(recipe(folder, name, "text", name, "vae")) as pipeline:
            assert correct(pipeline, answers, name)
            assert device.live <= device.budget
        if switch % 20 == 19:
            registry.unload()
            resting.add((device.live, device.host_live))
    assert resting == {(0, 0)}


def test_an_eviction_among_a_hundred_is_decided_within_a_millisecond():
    draw = random.Random(0)
    crowd = [
        Candidate(
            n, draw.randint(1, 1000), draw.random(), draw.choice([None, draw.randint(0, 9)]), draw.randint(0, 999)
        )
        for n in range(100)
    ]
    needed = sum(candidate.bytes for candidate in crowd) // 2
    seconds = []
    for _ in range(50):
        start = time.perf_counter()
        chosen = choose_evictions(crowd, needed)
        seconds.append(time.perf_counter() - start)
    assert chosen is not None and sum(c.bytes for c in crowd if c.name in chosen) >= needed
    assert min(seconds) <= 0.001


def test_evictions_prefer_what_no_one_needs_and_spare_what_need_not_go():
    old, new = Candidate("old", 10, 1.0, None, 1), Candidate("new", 10, 1.0, None, 9)
    soon, late = Candidate("soon", 10, 1.0, 0, 1), Candidate("late", 10, 1.0, 5, 1)
    assert choose_evictions([soon, late, new, old], 10) == ["old"]
    assert set(choose_evictions([soon, late, new, old], 30) or ()) == {"old", "new", "late"}
    small, large = Candidate("small", 1, 1.0, None, 1), Candidate("large", 100, 1.0, None, 2)
    assert choose_evictions([small, large], 50) == ["large"]
    assert choose_evictions([small], 50) is None and choose_evictions([], 0) == []
