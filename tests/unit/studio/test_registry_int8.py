"""Matrices at rest in int8, in which torchao computes; it is an extra (requirements-int8.txt)."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch

from studio.events import StudioError
from studio.registry.options import Options
from tests.unit.studio.counting_device import CountingDevice
from tests.unit.studio.tiny_networks import save_tower
from tests.unit.studio.towers import GENEROUS, recipe, registry_with

INT8 = Options(small_weights="int8")
needs_torchao = pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="requirements-int8.txt")


def test_without_torchao_it_is_a_sentence(folder, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    registry = registry_with(hardware=CountingDevice(GENEROUS), options=INT8)
    with (
        pytest.raises(StudioError, match="torchao, which is not installed") as told,
        registry.acquire(recipe(folder, "m", "one")),
    ):
        pass
    assert "requirements-int8.txt" in told.value.advice and registry.memory.used() == 0


@needs_torchao
@torch.no_grad()
@pytest.mark.parametrize("streamed", [False, True])
def test_int8_is_a_component_of_its_own_and_computes_as_its_codes_say(tmp_path, streamed):
    tower: Any = save_tower(tmp_path / "big", 1, width=128, blocks=6)
    plain = registry_with(hardware=CountingDevice(GENEROUS))
    with plain.acquire(recipe(tmp_path, "m", "big")) as pipeline:
        size, format = plain.status()["bytes"], plain.describe(pipeline)["big"]["dtype"]
    small = registry_with(hardware=CountingDevice(GENEROUS), options=INT8)
    with small.acquire(recipe(tmp_path, "m", "big")) as pipeline:
        small_size, expected = small.status()["bytes"], pipeline.compute("big")
        for ours, whole in zip(pipeline.parts["big"].blocks, tower.blocks, strict=True):
            kept, rows = ours.weight.dequantize(), torch.randn(4, 128)
            step = whole.weight.abs().amax(1, keepdim=True) / 127.5
            assert ((kept - whole.weight).abs() <= 0.51 * step).all(), "the nearest of 256 steps"
            torch.testing.assert_close(ours(rows), torch.nn.functional.linear(rows, kept, whole.bias))
    device = CountingDevice(small_size // 2 if streamed else GENEROUS)
    registry = registry_with(hardware=device, options=INT8)
    for _ in range(2):  # out of memory and in again between the two
        with registry.acquire(recipe(tmp_path, "m", "big")) as pipeline:
            results = pipeline.compute("big"), pipeline.compute("big")
            assert registry.describe(pipeline)["big"]["dtype"] == f"{format}, int8 at rest"
        registry.unload()
        assert all(torch.equal(result, expected) for result in results) and device.live == device.host_live == 0
    assert small_size < 0.35 * size


@needs_torchao
def test_two_methods_share_the_codes(folder):
    registry = registry_with(hardware=CountingDevice(GENEROUS), options=INT8)
    with registry.acquire(recipe(folder, "a", "one")) as a, registry.acquire(recipe(folder, "b", "one")) as b:
        weights: list[Any] = [pipeline.parts["one"].blocks[0].weight for pipeline in (a, b)]
        assert weights[0].qdata.data_ptr() == weights[1].qdata.data_ptr()
        assert torch.equal(a.compute("one"), b.compute("one")) and registry.memory.fetches == 1
