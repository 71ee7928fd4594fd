"""RepVideo's network against the specification written out with lists, and against diffusers where they are equal."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXTransformer3DModel
from torch import Tensor

from models.common.cogvideox.rotary import rotary_for
from models.repvideo.layer_features import LayerFeatureCache
from models.repvideo.transformer import RepVideoTransformer3DModel
from tests.unit.models.cogvideox_parts import CHANNELS, PATCHED, SMALL, TEXT_DIM, TEXT_TOKENS, network


@pytest.fixture(scope="module")
def inputs() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    latents = torch.randn(2, 3, CHANNELS, 6, 8, generator=generator)
    text = torch.randn(2, TEXT_TOKENS, TEXT_DIM, generator=generator)
    return latents, text, torch.tensor([801.0, 19.5])


def written_out(model: Any, latents: Tensor, text: Tensor, timestep: Tensor, wrong: str = "") -> Tensor:
    """The forward pass with a list of whole sequences, as the specification has it; `wrong` breaks one fact of it."""
    emb = model.embed_time(timestep, latents.dtype)
    tokens = model.patch_embed(text, latents)
    split = text.shape[1]
    cache = [tokens]
    for layer, block in enumerate(model.transformer_blocks):
        gate = model.learnable_gating[layer]
        gate = {"sigmoid": gate.sigmoid(), "clamp": gate.clamp(0, 1), "swapped": 1 - gate}.get(wrong, gate)
        mixed = gate * torch.stack(cache).mean(0) + (1 - gate) * tokens
        if wrong == "video only":
            mixed = torch.cat([tokens[:, :split], mixed[:, split:]], 1)
        video, words = block(mixed[:, split:], mixed[:, :split], emb)
        tokens = torch.cat([words, video], 1)
        restart = {"reset late": layer % 6 == 1, "never reset": False}.get(wrong, layer % 6 == 0)
        cache = [tokens] if restart else [*cache, mixed if wrong == "mixed inputs" else tokens]
    video = model.norm_out(model.norm_final(tokens[:, split:]), temb=emb)
    return model.unpatchify(model.proj_out(video), latents.shape[1], *latents.shape[3:])


def distance(a: Tensor, b: Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


@torch.no_grad()
def test_the_running_mean_equals_the_list_of_layer_outputs(inputs):
    model = network(SMALL)
    assert distance(model(*inputs).sample, written_out(model, *inputs)) < 1e-6


@pytest.mark.parametrize(
    "wrong", ["sigmoid", "clamp", "swapped", "video only", "reset late", "never reset", "mixed inputs"]
)
@torch.no_grad()
def test_each_known_mistake_would_be_seen(inputs, wrong):
    model = network(SMALL)
    assert distance(written_out(model, *inputs, wrong=wrong), model(*inputs).sample) > 1e-4


@torch.no_grad()
def test_gates_at_zero_and_cache_off_are_both_plain_cogvideox(inputs):
    model = network(SMALL | {"norm_out_eps": 1e-5})
    plain = CogVideoXTransformer3DModel(**SMALL).eval()
    plain.load_state_dict({n: p for n, p in model.state_dict().items() if n != "learnable_gating"})
    expected = plain(*inputs).sample
    assert distance(model(*inputs, feature_cache=False).sample, expected) < 1e-6
    model.learnable_gating.zero_()
    assert distance(model(*inputs).sample, expected) < 1e-6


def test_the_last_norm_has_the_authors_epsilon():
    assert RepVideoTransformer3DModel(**SMALL).norm_out.norm.eps == 1e-6
    assert RepVideoTransformer3DModel(**SMALL).norm_final.eps == 1e-5


def test_gates_that_cannot_matter_get_no_gradient_and_the_others_do(inputs):
    model = network(SMALL)
    model(*inputs).sample.square().mean().backward()
    assert model.learnable_gating.grad is not None
    dead = model.learnable_gating.grad == 0
    assert dead.nonzero().flatten().tolist() == [0, 1, 7]


def test_gradients_equal_those_of_the_list(inputs):
    model = network(SMALL)
    model(*inputs).sample.square().mean().backward()
    ours = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    written_out(model, *inputs).square().mean().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-3, atol=1e-6)


def test_gradient_checkpointing_changes_nothing(inputs):
    model = network(SMALL)
    model(*inputs).sample.mean().backward()
    assert model.learnable_gating.grad is not None
    expected = model.learnable_gating.grad.clone()
    model.zero_grad()
    model.enable_gradient_checkpointing()
    model.train()
    model(*inputs).sample.mean().backward()
    torch.testing.assert_close(model.learnable_gating.grad, expected)


@torch.no_grad()
def test_the_cache_keeps_one_state_however_many_layers_it_covers():
    cache = LayerFeatureCache((torch.zeros(1, 2, 4), torch.zeros(1, 3, 4)), group_size=6)
    kept, values = [], []
    for layer in range(6):
        output = (torch.randn(1, 2, 4), torch.randn(1, 3, 4))
        values.append(output[1].clone())
        kept.append(weakref.ref(output[1]))
        cache.take(layer, output)
        del output
        assert sum(reference() is not None for reference in kept) <= 1
    torch.testing.assert_close(cache.mean[1], torch.stack(values).mean(0))


@torch.no_grad()
def test_the_cache_costs_at_most_one_hidden_state(inputs):
    """Counted at every block: live tensors of a hidden state's size, with the cache and without."""
    model = network(SMALL)
    size = 3 * 12 * 32  # video tokens times channels, batch 1

    def most_alive(feature_cache: bool) -> int:
        counts = []

        def count(*_: object) -> None:
            alive = [o for o in gc.get_objects() if type(o) is Tensor and o.numel() == size and o.ndim == 3]
            counts.append(len({o.data_ptr() for o in alive}))

        handles = [block.register_forward_pre_hook(count) for block in model.transformer_blocks]
        model(inputs[0][:1], inputs[1][:1], inputs[2][:1], feature_cache=feature_cache)
        for handle in handles:
            handle.remove()
        return max(counts)

    gc.freeze()  # only tensors made from here on are looked through
    try:
        assert most_alive(True) - most_alive(False) <= 1
    finally:
        gc.unfreeze()


@torch.no_grad()
def test_in_place_running_mean_leaves_block_outputs_alone(inputs):
    model = network(SMALL)
    seen: list[tuple[Tensor, Tensor]] = []
    for block in model.transformer_blocks:
        block.register_forward_hook(lambda m, i, out: seen.append((out[0], out[0].clone())))
    model(*inputs)
    assert all(torch.equal(output, copy) for output, copy in seen)


@torch.no_grad()
def test_patches_of_frames_work_with_a_position_table():
    model = network(PATCHED)
    latents = torch.randn(1, 8, CHANNELS, 6, 8)
    rotary = rotary_for(model.config, 8, 6, 8)
    output = model(latents, torch.randn(1, TEXT_TOKENS, TEXT_DIM), torch.tensor([5.0]), image_rotary_emb=rotary)
    assert output.sample.shape == latents.shape
    assert model.patch_embed.get_buffer("pos_embedding").shape[1] == TEXT_TOKENS + 2 * 3 * 4
    assert "patch_embed.pos_embedding" in model.state_dict()


def test_saving_and_loading_keeps_every_field(tmp_path):
    model = network(PATCHED | {"feature_group_size": 2})
    model.save_pretrained(tmp_path)
    loaded = RepVideoTransformer3DModel.from_pretrained(tmp_path)
    private = {"_name_or_path", "_use_default_values"}
    assert {k: v for k, v in loaded.config.items() if k not in private} == {
        k: v for k, v in model.config.items() if k not in private
    }
    torch.testing.assert_close(loaded.state_dict(), model.state_dict())


def test_the_network_is_built_on_meta_without_memory():
    with torch.device("meta"):
        model = RepVideoTransformer3DModel.from_config(PATCHED)
    assert isinstance(model, RepVideoTransformer3DModel)
    assert all(parameter.is_meta for parameter in model.parameters())
