"""What a job does in less memory than it would like: stages, blocks, float8, what was measured before."""

from __future__ import annotations

import json

import pytest
import torch

from studio.registry import WeightsError
from studio.registry.options import Options
from tests.unit.studio.counting_device import CountingDevice
from tests.unit.studio.tiny_networks import TOKENS, save_tower
from tests.unit.studio.towers import GENEROUS, correct, recipe, registry_with


@pytest.mark.parametrize("separate", [True, False])
def test_a_job_too_large_at_once_runs_stage_by_stage(folder, answers, sizes, separate):
    names = ("text", "one", "vae")
    budget = max(sizes[name] for name in names) + sizes["vae"] // 2
    device = CountingDevice(budget, separate=separate)
    registry = registry_with(hardware=device, options=Options(streaming=False))
    with registry.acquire(recipe(folder, "m", *names)) as pipeline:
        assert device.live == 0, "nothing before it is used"
        for name in names:
            assert correct(pipeline, answers, name)
            held = {c["names"][0] for c in registry.status()["components"] if c["leased"]}
            assert held == {name} and device.live <= budget
    registry.unload()
    assert device.live == device.host_live == 0


def test_a_network_that_is_not_there_yet_says_where_it_will_compute(folder, sizes):
    """Pipelines put their inputs where their networks are; in an early stage the later ones are not there."""
    device = CountingDevice(max(sizes.values()))
    device.torch_device = torch.device("meta")
    registry = registry_with(hardware=device, options=Options(streaming=False))
    with registry.acquire(recipe(folder, "m", "text", "one")) as pipeline:
        weight = pipeline.parts["one"].embed.weight
        assert (weight.device.type, weight.dtype, weight.shape) == ("meta", torch.float32, (4, 32))


def test_a_network_larger_than_the_device_passes_through_it_block_by_block(folder, answers, sizes):
    budget = int(sizes["one"] * 0.6)
    device = CountingDevice(budget)
    registry = registry_with(hardware=device)
    with registry.acquire(recipe(folder, "m", "one")) as pipeline:
        for _ in range(3):
            assert correct(pipeline, answers, "one")
        assert registry.status()["components"][0]["place"] == "streamed"
        assert 0 < device.live <= budget and registry.status()["bytes"] == device.live + 32 * 4
    assert device.live == 0
    with pytest.raises(WeightsError, match="limit is"):
        registry_with(hardware=CountingDevice(sizes["one"] // 4)).acquire(recipe(folder, "m", "one")).__enter__()


def test_an_error_inside_a_streamed_block_leaves_nothing_on_the_device(folder, answers, sizes):
    device = CountingDevice(int(sizes["one"] * 0.6))
    registry = registry_with(hardware=device)
    with pytest.raises(RuntimeError), registry.acquire(recipe(folder, "m", "one")) as pipeline:
        pipeline.parts["one"](torch.tensor([[0.5]]))
    with registry.acquire(recipe(folder, "m", "one")) as pipeline:
        with pytest.raises(IndexError):
            pipeline.parts["one"](torch.tensor([[99]]))
        assert correct(pipeline, answers, "one")
    assert device.live == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_weights_at_rest_in_float8_take_a_quarter_and_compute_in_full(tmp_path, streamed):
    tower = save_tower(tmp_path / "big", 1, width=128, blocks=6)
    with torch.no_grad():
        expected = tower.decode(TOKENS)
    sizes = {}
    for small in ("", "float8"):
        registry = registry_with(hardware=CountingDevice(GENEROUS), options=Options(small_weights=small))
        with registry.acquire(recipe(tmp_path, "m", "big")):
            sizes[small] = registry.status()["bytes"]
    device = CountingDevice(sizes["float8"] // 2 if streamed else GENEROUS)
    registry = registry_with(hardware=device, options=Options(small_weights="float8"))
    with registry.acquire(recipe(tmp_path, "m", "big")) as pipeline:
        first, again = pipeline.compute("big"), pipeline.compute("big")
        assert pipeline.parts["big"].blocks[0].weight.dtype == torch.float8_e4m3fn
    assert sizes["float8"] < 0.35 * sizes[""]
    assert first.dtype == torch.float32 and torch.equal(first, again)
    for name, parameter in tower.blocks.named_parameters():
        if name.endswith("weight"):
            parameter.data = parameter.data.to(torch.float8_e4m3fn).float()
    with torch.no_grad():
        assert torch.equal(first, tower.decode(TOKENS)) and not torch.equal(first, expected)


def test_measured_memory_is_remembered_and_decides_about_the_next_job(folder, answers, sizes, tmp_path):
    from dataclasses import dataclass

    @dataclass
    class Asked:
        num_frames: int = 10
        height: int = 10
        width: int = 10

    names = ("text", "one")
    budget = sum(sizes[name] for name in names) + 50_000
    device = CountingDevice(budget)
    registry = registry_with(cache_dir=tmp_path, hardware=device)
    with registry.acquire(recipe(folder, "m", *names), request=Asked()) as pipeline:
        for name in names:
            pipeline.compute(name)
            working = device.allocate(40_000)
            del working
    known = json.loads((tmp_path / "activations.json").read_text())
    assert known == {"m/denoise/counting": [[1000, 40_000]], "m/encode/counting": [[1000, 40_000]]}
    again = registry_with(cache_dir=tmp_path, hardware=CountingDevice(budget))
    with again.acquire(recipe(folder, "m", *names)):
        assert again.status()["reserved"] == 0, "a request of no size is no reason to reserve"
    with again.acquire(recipe(folder, "m", *names), request=Asked()):
        assert again.status()["reserved"] == 44_000
    with (
        pytest.raises(WeightsError, match="to compute with"),
        again.acquire(recipe(folder, "m", *names), request=Asked(num_frames=1000)),
    ):
        pass


def test_a_guess_is_no_reason_to_refuse(folder, sizes):
    class Asked:
        num_frames, height, width = 49, 480, 720

    registry = registry_with(hardware=CountingDevice(sizes["one"] + 1000))
    with registry.acquire(recipe(folder, "m", "one"), request=Asked()):
        assert registry.status()["reserved"] == 1000
