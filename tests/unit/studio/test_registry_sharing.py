"""One copy of the tensors, however many methods, folders and threads ask for them."""

from __future__ import annotations

import threading

import pytest
import torch

from studio.registry import Registry, WeightsError
from tests.unit.studio.saved_networks import storages


def test_two_methods_share_tensors_and_not_modules(registry, recipe, copies, saved):
    with (
        registry.acquire(recipe("vae")) as one,
        registry.acquire(recipe("vae", method="two")) as two,
        registry.acquire(recipe("vae", method="three", folder=copies)) as three,  # the same content elsewhere
    ):
        assert one.vae is not two.vae and storages(one.vae) == storages(two.vae) == storages(three.vae)
        one.vae.enable_tiling()
        one.vae.decoder.conv_in.register_forward_hook(lambda *_: None)
        assert not two.vae.use_tiling and not two.vae.decoder.conv_in._forward_hooks
    status = registry.status()
    assert len(status["components"]) == 1 and status["components"][0]["methods"] == ["one", "three", "two"]


def test_many_first_requests_load_once_and_leave_other_threads_alone(registry, recipe):
    made, stop = [], threading.Event()

    def other_work() -> None:
        while not stop.is_set():
            made.append(torch.nn.Linear(4, 4).weight.is_meta or torch.get_default_dtype() != torch.float32)

    def ask() -> None:
        with registry.acquire(recipe("transformer")):
            pass

    other = threading.Thread(target=other_work)
    askers = [threading.Thread(target=ask) for _ in range(8)]
    other.start()
    for thread in askers:
        thread.start()
    for thread in askers:
        thread.join()
    stop.set()
    other.join()
    assert registry.memory.fetches == 1 and len(made) > 0 and not any(made)


def test_memory_is_made_before_a_byte_moves_and_what_cannot_fit_is_refused(recipe, tmp_path):
    free = Registry("cpu")
    sizes = {}
    for name in ("vae", "transformer", "text_encoder"):
        with free.acquire(recipe(name)):
            pass
        sizes[name] = free.unload()
    limit = sizes["vae"] + max(sizes["transformer"], sizes["text_encoder"])
    registry = Registry("cpu", memory_gb=limit / 2**30, cache_dir=tmp_path)
    for name in ("vae", "transformer", "vae", "text_encoder"):
        with registry.acquire(recipe(name)):
            assert registry.status()["bytes"] <= limit
    assert {c["names"][0] for c in registry.status()["components"]} == {"vae", "text_encoder"}  # oldest use went
    before = registry.status()
    with (
        pytest.raises(WeightsError, match=r"needs .* GiB .* limit is"),
        registry.acquire(recipe("vae", "transformer", "text_encoder")),
    ):
        pass
    assert registry.status() == before
