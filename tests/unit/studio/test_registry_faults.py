"""Faults while weights are on their way: the state is as before, and a retry succeeds."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.method import StopRequested
from studio.registry import WeightsError
from tests.unit.studio.counting_device import CountingDevice
from tests.unit.studio.tiny_networks import TOKENS, save_tower
from tests.unit.studio.towers import GENEROUS, correct, recipe, registry_with


def test_what_cannot_be_written_down_costs_no_job(folder, answers, tmp_path, monkeypatch, caplog):
    import tempfile

    def full(**_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkstemp", full)
    registry = registry_with(cache_dir=tmp_path, hardware=CountingDevice(GENEROUS))
    with registry.acquire(recipe(folder, "m", "one")) as pipeline:
        assert correct(pipeline, answers, "one")
    assert "digests are not kept" in caplog.text


def test_a_file_that_is_cut_while_it_is_read_is_a_sentence_and_a_retry_works(tmp_path, monkeypatch):
    from studio.registry import fetching

    tower = save_tower(tmp_path / "one", 3)
    expected = tower.decode(TOKENS).detach()
    file = tmp_path / "one" / "diffusion_pytorch_model.safetensors"
    whole, fill = file.read_bytes(), fetching.fill

    def cut(*arguments: Any) -> None:
        with file.open("r+b") as stream:
            stream.truncate(len(whole) - 100)
        fill(*arguments)

    registry = registry_with(hardware=CountingDevice(GENEROUS))
    with monkeypatch.context() as patch:
        patch.setattr(fetching, "fill", cut)
        with (
            pytest.raises(WeightsError, match=r"became shorter|was changed"),
            registry.acquire(recipe(tmp_path, "m", "one")),
        ):
            pass
    assert registry.status()["components"] == [] and registry.memory.used() == 0
    file.write_bytes(whole)
    with registry.acquire(recipe(tmp_path, "m", "one")) as pipeline:
        assert torch.equal(pipeline.compute("one"), expected)


@pytest.mark.parametrize("at", range(1, 5))
def test_no_memory_at_any_allocation_leaves_the_state_as_it_was(folder, answers, at):
    device = CountingDevice(GENEROUS)
    registry = registry_with(hardware=device)
    with registry.acquire(recipe(folder, "m", "vae")):
        pass
    before = registry.status()
    device.fail_at, device.failures = device.allocations + at, 9
    with pytest.raises(torch.OutOfMemoryError), registry.acquire(recipe(folder, "m", "text", "one")):
        pass
    device.fail_at = 0
    after = registry.status()
    assert [c["source"] for c in after["components"]] == [c["source"] for c in before["components"]]
    assert after["reserved"] == 0 and device.live <= registry.memory.device.used
    with registry.acquire(recipe(folder, "m", "text", "one")) as pipeline:
        assert correct(pipeline, answers, "text", "one")


def test_one_allocation_that_fails_on_the_device_is_tried_again_with_all_the_room_there_is(folder, answers):
    device = CountingDevice(GENEROUS)
    registry = registry_with(hardware=device)
    with registry.acquire(recipe(folder, "m", "vae")):
        pass
    device.fail_at, device.failures = device.allocations + 2, 1  # the copy to the device
    with registry.acquire(recipe(folder, "m", "one")) as pipeline:
        assert correct(pipeline, answers, "one")
        assert {c["names"][0]: c["place"] for c in registry.status()["components"]} == {
            "vae": "ram",
            "one": "counting",
        }


def test_stopping_takes_effect_between_slices_of_a_vae(tmp_path):
    import diffusers

    config: dict[str, Any] = {
        "down_block_types": ("CogVideoXDownBlock3D",) * 2, "up_block_types": ("CogVideoXUpBlock3D",) * 2,
        "block_out_channels": (8, 8), "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 2,
        "temporal_compression_ratio": 1,
    }  # fmt: skip
    vae = diffusers.AutoencoderKLCogVideoX(**config)
    vae.save_pretrained(tmp_path / "vae")
    from models.method import Component, Recipe

    part = Component("vae", "diffusers:AutoencoderKLCogVideoX", str(tmp_path / "vae"), ("decode",))
    slices = 0

    def on_use() -> None:
        nonlocal slices
        slices += 1
        if slices > 2:
            raise StopRequested

    latents = torch.zeros(1, 4, 8, 4, 4)  # four slices of two latent frames
    registry = registry_with("cpu")
    holder = "tests.unit.studio.tiny_networks:Holder"
    with pytest.raises(StopRequested), registry.acquire(Recipe("m", holder, (part,)), on_use=on_use) as pipeline:
        pipeline.parts["vae"].decode(latents)
    with registry.acquire(Recipe("m", holder, (part,))) as pipeline, torch.no_grad():
        assert pipeline.parts["vae"].decode(latents).sample.shape[2] == 8
