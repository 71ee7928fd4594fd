"""What diffusers and transformers save, the registry must load: the same tensors, the same numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from studio.events import StudioError
from studio.registry import Registry
from tests.unit.studio.saved_networks import NETWORKS, load_reference


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_what_its_own_library_loads(registry, recipe, saved, name):
    reference = load_reference(name, saved / name)
    with registry.acquire(recipe(name)) as parts:
        module = getattr(parts, name)
        for kind in ("named_parameters", "named_buffers"):
            ours, theirs = dict(getattr(module, kind)()), dict(getattr(reference, kind)())
            assert ours.keys() == theirs.keys()
            for key, tensor in theirs.items():
                expected = tensor.float() if tensor.dtype == torch.float64 else tensor  # CogVideoX's position table
                assert ours[key].dtype == expected.dtype and torch.equal(ours[key], expected), key
        assert not module.training and not any(parameter.requires_grad for parameter in module.parameters())


def test_a_network_computes_what_its_own_library_computes(registry, recipe, saved):
    reference = load_reference("transformer", saved / "transformer")
    inputs = {
        "hidden_states": torch.randn(1, 2, 4, 8, 8),
        "encoder_hidden_states": torch.randn(1, 8, 32),
        "timestep": torch.tensor([500]),
    }
    with registry.acquire(recipe("transformer")) as parts, torch.no_grad():
        assert torch.equal(parts.transformer(**inputs).sample, reference(**inputs).sample)


def test_the_text_encoders_tied_embedding_is_one_tensor(registry, recipe):
    with registry.acquire(recipe("text_encoder")) as parts:
        assert parts.text_encoder.encoder.embed_tokens.weight is parts.text_encoder.shared.weight


def test_shards_are_joined(registry, recipe, saved):
    assert len(list((saved / "sharded").glob("*.safetensors"))) > 1
    reference = load_reference("transformer", saved / "transformer").state_dict()
    with registry.acquire(recipe("sharded")) as parts:
        assert all(torch.equal(tensor, reference[name]) for name, tensor in parts.sharded.state_dict().items())


def test_dtype_is_float32_on_a_cpu_unless_asked_otherwise(registry, recipe):
    for asked, given in (("", torch.float32), ("float16", torch.float32), ("bfloat16", torch.bfloat16)):
        with registry.acquire(recipe("vae", dtype=asked)) as parts:
            assert parts.vae.dtype == given
    assert sorted(c["dtype"] for c in registry.status()["components"]) == ["bfloat16", "float32"]


def test_a_gpu_that_is_not_there_is_a_sentence(recipe):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(StudioError, match="no CUDA device"), Registry("cuda").acquire(recipe("vae")):
        pass
    registry: Any = Registry("auto")
    with registry.acquire(recipe("vae")) as parts:
        assert parts.vae.device.type == "cpu"


@pytest.mark.gpu
def test_a_gpu_gets_bfloat16_and_gives_its_memory_back(recipe):
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    registry: Any = Registry("auto")
    before = torch.cuda.memory_allocated()
    with registry.acquire(recipe("vae", "learned")) as parts:
        assert parts.vae.device.type == "cuda" and parts.vae.dtype == torch.bfloat16
        assert parts.learned.patch_embed.pos_embedding.device.type == "cuda"
        del parts
    registry.unload()
    assert torch.cuda.memory_allocated() == before
