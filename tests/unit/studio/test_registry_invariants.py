"""The registry's promises under every order of events: a counted device, random operations, checks after each.

I1 bytes held never exceed the budget, nor does what is really alive    I2 leased weights do not move
I3 room is decided before a byte moves    I5 failure and cancel leave the state as it was    I6 pixels do not change
I7 after the last job everything can be given back, to the byte
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from models.method import StopRequested
from studio.registry import Registry, WeightsError
from studio.registry.options import Options
from tests.unit.studio.counting_device import CountingDevice
from tests.unit.studio.tiny_networks import TOKENS, Refusing, save_difference, save_tower, tower_recipe

NAMES = ("text", "big", "other", "vae")
SHAPES = {"text": (16, 2), "big": (32, 8), "other": (24, 6), "vae": (16, 3)}
METHODS = {
    "one": {"text": ("encode",), "big": ("denoise",), "vae": ("decode",)},
    "two": {"text": ("encode",), "other": ("denoise",), "vae": ("encode", "decode")},
    "three": {"big": ("encode", "denoise"), "other": ("denoise",)},
    "four": {"text": ("encode",), "made": ("denoise",)},
}


@pytest.fixture(scope="session")
def towers(tmp_path_factory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("towers")
    made = {name: save_tower(folder / name, seed, *SHAPES[name]) for seed, name in enumerate(NAMES)}
    made["made"] = save_difference(folder / "made", folder / "big", 7)
    broken = folder / "broken"
    save_tower(broken, 9)
    (broken / "config.json").write_text('{"width": 8, "blocks": 2}')
    answers = {name: tower.decode(TOKENS).detach() for name, tower in made.items()}
    sizes = {name: _size(folder / name) for name in NAMES}
    return {"folder": folder, "answers": answers, "sizes": sizes}


def _size(folder: Path) -> int:
    registry = Registry(hardware=CountingDevice(1 << 30, separate=False))
    with registry.acquire(tower_recipe("size", part=(folder, ("denoise",)))):
        return registry.status()["bytes"]


def recipe_of(method: str, folder: Path, pipeline: str = "Holder"):
    bases = {"made": (folder / "big",)}
    stages = {name: (folder / name, where, *bases.get(name, ())) for name, where in METHODS[method].items()}
    return tower_recipe(method, pipeline, **stages)


class Operations(RuleBasedStateMachine):
    """One thread, many jobs open at once, little memory."""

    towers: dict[str, Any]

    @initialize(
        share=st.floats(0.55, 1.6), host_share=st.floats(0.7, 2.0), separate=st.booleans(), streaming=st.booleans()
    )
    def start(self, share: float, host_share: float, separate: bool, streaming: bool) -> None:
        total = sum(self.towers["sizes"].values())
        self.device = CountingDevice(int(total * share), int(total * host_share), separate)
        self.registry = Registry(hardware=self.device, options=Options(streaming=streaming))
        assert self.registry.memory.used() == 0
        self.jobs: list[tuple[str, contextlib.ExitStack, Any]] = []
        self.places: dict[Any, int] = {}

    def try_to_open(self, recipe, on_loading=None, on_use=None) -> None:
        before = self.registry.status()
        stack = contextlib.ExitStack()
        try:
            pipeline = stack.enter_context(self.registry.acquire(recipe, on_loading, on_use=on_use))
        except (WeightsError, StopRequested, RuntimeError):
            after = self.registry.status()
            known = {c["source"] for c in before["components"]}
            assert {c["source"] for c in after["components"]} <= known, "a failed load leaves nothing behind"
            assert after["reserved"] == before["reserved"]
            leased = lambda status: sorted(c["source"] for c in status["components"] if c["leased"])  # noqa: E731
            assert leased(before) == leased(after)
            assert torch.get_default_dtype() == torch.float32
        else:
            self.jobs.append((recipe.method, stack, pipeline))

    @rule(method=st.sampled_from(sorted(METHODS)))
    def open(self, method: str) -> None:
        self.try_to_open(recipe_of(method, self.towers["folder"]))

    @rule(method=st.sampled_from(sorted(METHODS)), after=st.integers(0, 3))
    def open_and_cancel(self, method: str, after: int) -> None:
        heard = 0

        def stop(*_: Any) -> None:
            nonlocal heard
            heard += 1
            if heard > after:
                raise StopRequested

        self.try_to_open(recipe_of(method, self.towers["folder"]), stop)

    @rule(method=st.sampled_from(sorted(METHODS)), at=st.integers(1, 4), failures=st.sampled_from([1, 3]))
    def open_with_a_failing_allocation(self, method: str, at: int, failures: int) -> None:
        self.device.fail_at, self.device.failures = self.device.allocations + at, failures
        try:
            self.try_to_open(recipe_of(method, self.towers["folder"]))
        finally:
            self.device.fail_at = 0

    @rule(method=st.sampled_from(sorted(METHODS)))
    def open_what_cannot_be_made(self, method: str) -> None:
        self.try_to_open(recipe_of(method, self.towers["folder"], Refusing.__name__))
        broken = tower_recipe("bad", part=(self.towers["folder"] / "broken", ("denoise",)))
        self.try_to_open(broken)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def compute(self, data: st.DataObject) -> None:
        method, _, pipeline = data.draw(st.sampled_from(self.jobs))
        name = data.draw(st.sampled_from(sorted(METHODS[method])))
        with contextlib.suppress(WeightsError, StopRequested):  # other jobs may hold what its next stage needs
            assert torch.equal(pipeline.compute(name), self.towers["answers"][name])

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), how=st.sampled_from(["done", "error", "stopped"]))
    def close(self, data: st.DataObject, how: str) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        self.jobs.remove(job)
        error = {"done": None, "error": RuntimeError("job"), "stopped": StopRequested()}[how]
        if error is None:
            job[1].close()
        else:
            with contextlib.suppress(RuntimeError, StopRequested):
                job[1].__exit__(type(error), error, None)

    @rule()
    def unload(self) -> None:
        before = self.registry.status()
        freed = self.registry.unload()
        after = self.registry.status()
        assert freed == sum(before[k] - after[k] for k in ("bytes", "host_bytes"))

    @rule(method=st.sampled_from(sorted(METHODS)))
    def prefetch(self, method: str) -> None:
        self.registry.prefetch(recipe_of(method, self.towers["folder"]))
        for resident in self.registry.memory.residents.values():
            if resident.fetch is not None:
                resident.fetch.finished.wait()  # so that a failing order of events can be repeated

    @rule(methods=st.lists(st.sampled_from(sorted(METHODS)), max_size=3))
    def expect(self, methods: list[str]) -> None:
        self.registry.expect([recipe_of(method, self.towers["folder"]) for method in methods])

    @invariant()
    def budgets_hold(self) -> None:
        if not hasattr(self, "registry"):
            return
        memory = self.registry.memory
        assert 0 <= memory.device.used <= memory.device.budget
        assert 0 <= memory.host.used <= memory.host.budget
        assert self.device.live <= memory.device.used, "more is alive than is written down"
        if self.device.separate:
            assert self.device.host_live <= memory.host.used

    @invariant()
    def leased_weights_stay(self) -> None:
        if not hasattr(self, "registry"):
            return
        leased = [resident for resident in self.registry.memory.residents.values() if resident.leases]
        buffers = {resident: resident.device if self.device.separate else resident.host for resident in leased}
        places = {(r, r.last_use): b.data_ptr() for r, b in buffers.items() if b is not None}
        for resident, place in places.items():
            assert self.places.get(resident, place) == place
        self.places = places

    def teardown(self) -> None:
        if not hasattr(self, "registry"):
            return
        for _, stack, _ in self.jobs:
            stack.close()
        self.registry.unload()
        memory = self.registry.memory
        assert memory.residents == {} and memory.device.used == memory.host.used == 0
        assert self.device.live == self.device.host_live == 0
        assert memory.leases == set()


def test_every_order_of_events_keeps_the_promises(towers, monkeypatch):
    # pytest keeps what is logged, and with an exception the frames that hold a buffer
    monkeypatch.setattr("studio.registry.fetching.logger.disabled", True)
    Operations.towers = towers
    Operations.TestCase.settings = settings(
        max_examples=12,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    Operations.TestCase().runTest()
