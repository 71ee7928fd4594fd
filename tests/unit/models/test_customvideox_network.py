"""CustomVideoX's network: plain CogVideoX without a picture, exact biases with one, the same in every way it comes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from models.common.cogvideox.rotary import rotary_for
from models.customvideox import reference_attention
from models.customvideox.lora import LAYERS, LoraSettings, ReferenceLora
from models.customvideox.reference_attention import ReferenceMemory, attend, reference_rotary
from models.customvideox.transformer import Adapted, CustomVideoXTransformer3DModel
from tests.unit.models import cogvideox_parts as parts

CONFIGS = {"table": parts.SMALL, "rotary and table": parts.PATCHED}
ROTARY = parts.SMALL | {"use_rotary_positional_embeddings": True, "num_layers": 3}
# as CogVideoX 1.5: patches of two frames and no table
SLICED = ROTARY | {"patch_size_t": 2, "sample_frames": 13}
ALL = CONFIGS | {"rotary": ROTARY, "rotary of 1.5": SLICED}
FRAMES, HEIGHT, WIDTH = 4, 6, 8


def network(config: dict[str, Any]) -> CustomVideoXTransformer3DModel:
    plain = parts.network(config)
    model = CustomVideoXTransformer3DModel.from_config(dict(plain.config)).eval()
    state = {k: v for k, v in plain.state_dict().items() if k != "learnable_gating"}
    model.load_state_dict(state, strict=True)
    return model


def lora_for(model: CustomVideoXTransformer3DModel, **changes: Any) -> ReferenceLora:
    settings = LoraSettings(**{"rank": 4, "alpha": 8.0, "layers": tuple(LAYERS)} | changes)
    torch.manual_seed(3)
    lora = ReferenceLora(model.transformer_blocks, model.hidden_size, settings)
    with torch.no_grad():
        for parameter in lora.parameters():
            parameter.normal_(std=0.2)
    return lora


def inputs(config: dict[str, Any], batch: int = 2) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(5)
    frames = config["sample_frames"] if config.get("use_learned_positional_embeddings") else FRAMES
    if config is parts.SMALL:
        frames = 3  # a table is as long as its clip
    return {
        "hidden_states": torch.randn(batch, frames, parts.CHANNELS, HEIGHT, WIDTH, generator=generator),
        "encoder_hidden_states": torch.randn(batch, parts.TEXT_TOKENS, parts.TEXT_DIM, generator=generator),
        "timestep": torch.tensor([500.0] * batch),
        "image_rotary_emb": rotary_of(config, frames),
        "return_dict": False,
    }


def rotary_of(config: dict[str, Any], frames: int) -> Any:
    model_config = CustomVideoXTransformer3DModel(**config | {"num_layers": 1}).config
    return rotary_for(model_config, frames, HEIGHT, WIDTH)


def picture(batch: int = 1) -> Tensor:
    return torch.randn(batch, 1, parts.CHANNELS, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(6))


def video_tokens(model: CustomVideoXTransformer3DModel, given: dict[str, Any]) -> int:
    frames = given["hidden_states"].shape[1] // (model.config.patch_size_t or 1)
    return frames * (HEIGHT // 2) * (WIDTH // 2)


@torch.no_grad()
def guess(model: CustomVideoXTransformer3DModel, given: dict[str, Any], **more: Any) -> Tensor:
    return model(**given, **more)[0]


def dense(query: Tensor, key: Tensor, value: Tensor, ref_key: Tensor, ref_value: Tensor, bias: Tensor) -> Tensor:
    """The straightforward way: a mask over all queries and keys."""
    keys, values = torch.cat([key, ref_key], 2), torch.cat([value, ref_value], 2)
    mask = torch.zeros(len(bias), 1, query.shape[2], keys.shape[2], dtype=query.dtype)
    mask[..., key.shape[2] :] = bias[:, None, :, None]
    return F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)


@pytest.mark.parametrize("config", ALL.values(), ids=ALL)
def test_without_a_picture_it_is_cogvideox_to_the_bit(config):
    given = inputs(config)
    plain = parts.network(config)
    with torch.no_grad():
        expected = plain(**given, feature_cache=False)[0]
    assert torch.equal(guess(network(config), given), expected)


def test_repvideos_weights_without_their_gates_are_read():
    plain = parts.network(parts.PATCHED)
    model = CustomVideoXTransformer3DModel.from_config(dict(plain.config))
    assert set(plain.state_dict()) - set(model.state_dict()) == {"learnable_gating"}
    assert model.norm_out.norm.eps == plain.norm_out.norm.eps == 1e-6


@pytest.mark.parametrize("heads_dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("queries", "references", "batch"), [(7, 3, 1), (40, 12, 2), (130, 1, 3)])
def test_the_bias_equals_a_dense_mask(queries, references, batch, heads_dtype, monkeypatch):
    generator = torch.Generator().manual_seed(queries)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=heads_dtype)  # noqa: E731
    query, key, value = (draw(batch, 2, queries, 16) for _ in range(3))
    ref_key, ref_value = draw(batch, 2, references, 16), draw(batch, 2, references, 16)
    bias = 3 * draw(batch, queries)
    expected = dense(query, key, value, ref_key, ref_value, bias)
    fused = attend(query, key, value, ref_key, ref_value, bias.float())
    torch.testing.assert_close(fused, expected, rtol=1e-5, atol=2e-6)
    monkeypatch.setattr(reference_attention, "is_small", lambda *_: True)
    plain = attend(query, key, value, ref_key, ref_value, bias)
    torch.testing.assert_close(plain, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("small", [True, False])
def test_a_bias_of_minus_infinity_is_no_picture(small, monkeypatch):
    monkeypatch.setattr(reference_attention, "is_small", lambda *_: small)
    query, key, value, ref_key, ref_value = torch.randn(5, 2, 2, 9, 16)
    bias = torch.zeros(2, 9)
    bias[1] = -torch.inf
    out = attend(query, key, value, ref_key, ref_value, bias)
    alone = F.scaled_dot_product_attention(query[1], key[1], value[1])
    torch.testing.assert_close(out[1], alone, rtol=1e-5, atol=1e-6)
    assert torch.isfinite(out).all()
    assert (out[0] - F.scaled_dot_product_attention(query[0], key[0], value[0])).abs().max() > 1e-2


def test_no_tensor_as_large_as_a_mask_is_made():
    tokens, references = 2000, 600
    query, key, value = torch.randn(3, 1, 1, tokens, 16)
    ref_key, ref_value = torch.randn(2, 1, 1, references, 16)
    largest = 0

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, tuple | list) else (result,):
                if isinstance(tensor, Tensor):
                    largest = max(largest, tensor.numel())
            return result

    with Sizes():
        attend(query, key, value, ref_key, ref_value, torch.zeros(1, tokens))
    assert largest < tokens * references


@pytest.mark.parametrize("config", ALL.values(), ids=ALL)
@pytest.mark.parametrize("rows", ["all", "reference"])
def test_kept_keys_and_values_equal_a_picture_that_sees_only_itself(config, rows):
    """The cached mask against one pass over [text, video, picture] with a dense mask, in diffusers' own blocks."""
    model, given = network(config), inputs(config, batch=1)
    lora = lora_for(model, rows=rows)
    adapted = model.adapted(lora)
    memory = model.remember(picture(), adapted)
    bias = torch.linspace(-2, 1, video_tokens(model, given))[None]
    got = guess(model, given, adapted=adapted, memory=memory, bias=bias)
    torch.testing.assert_close(got, straightforward(model, given, lora, bias), rtol=1e-4, atol=1e-5)


def straightforward(
    model: CustomVideoXTransformer3DModel,
    given: dict[str, Any],
    lora: ReferenceLora,
    bias: Tensor,
    joint: bool = False,
) -> Tensor:
    """A second writing of the network: all rows in one tensor, each with its own norms and layers, one dense mask."""
    words = given["encoder_hidden_states"].shape[1]
    config = model.config
    blocks: Any = model.transformer_blocks
    with torch.no_grad():
        tokens = model.patch_embed(given["encoder_hidden_states"], given["hidden_states"])
        reference = model.embed_reference(picture(), lora.reference_type)
        rows = torch.cat([tokens, reference], 1)
        count, own = rows.shape[1], tokens.shape[1]
        embs = [model.embed_time(torch.tensor([t]), rows.dtype) for t in (500.0, 0.0)]
        mask = torch.zeros(count, count)
        mask[words:own, own:] = bias[0][:, None]
        if not joint:
            mask[own:, :own] = -torch.inf
        parts_of = (slice(0, words), slice(words, own), slice(own, count))
        rotary, shifted = given["image_rotary_emb"], reference_rotary(config, HEIGHT, WIDTH, rows.device)

        def linear(layer: Any, index: int, name: str, x: Tensor) -> Tensor:
            out, update = layer(x), lora.blocks[index][name](x)  # pyright: ignore[reportIndexIssue]
            acts = slice(None) if lora.settings.rows == "all" else slice(own, None)
            out[:, acts] += update[:, acts]
            return out

        def modulated(norm: Any, x: Tensor) -> tuple[Tensor, Tensor]:
            video, _ = (norm.linear(norm.silu(emb)).chunk(6, 1) for emb in embs)
            clean = norm.linear(norm.silu(embs[1])).chunk(6, 1)
            sources = (video[3:], video[:3], clean[:3])
            normed, gates = norm.norm(x), torch.empty_like(x)
            for place, (shift, scale, gate) in zip(parts_of, sources, strict=True):
                normed[:, place] = normed[:, place] * (1 + scale) + shift
                gates[:, place] = gate
            return normed, gates

        for index, block in enumerate(blocks):
            attn: Any = block.attn1
            normed, gates = modulated(block.norm1, rows)
            query, key, value = (
                linear(getattr(attn, name), index, name, normed).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
                for name in ("to_q", "to_k", "to_v")
            )
            query, key = attn.norm_q(query), attn.norm_k(key)
            if rotary is not None and shifted is not None:
                cos, sin = (torch.cat([torch.full((words, a.shape[1]), n), a, b]) for a, b, n in
                            ((rotary[0], shifted[0], 1.0), (rotary[1], shifted[1], 0.0)))  # fmt: skip
                query, key = (turned(x, cos, sin) for x in (query, key))
            weights = (query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + mask).softmax(-1)
            attended = (weights @ value).transpose(1, 2).flatten(2)
            rows = rows + gates * linear(attn.to_out[0], index, "to_out", attended)
            normed, gates = modulated(block.norm2, rows)
            inner = F.gelu(linear(block.ff.net[0].proj, index, "ff_in", normed), approximate="tanh")
            rows = rows + gates * linear(block.ff.net[2], index, "ff_out", inner)
        video = model.norm_out(model.norm_final(rows[:, words:own]), temb=embs[0])
        return model.unpatchify(model.proj_out(video), given["hidden_states"].shape[1], HEIGHT, WIDTH)


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    pairs = x.unflatten(-1, (-1, 2))
    return x * cos + torch.stack([-pairs[..., 1], pairs[..., 0]], -1).flatten(-2) * sin


@pytest.mark.parametrize("config", ALL.values(), ids=ALL)
def test_the_joint_mask_lets_every_token_see_every_token(config):
    model, given = network(config), inputs(config, batch=1)
    lora = lora_for(model, mask="joint")
    bias = torch.linspace(-2, 1, video_tokens(model, given))[None]
    got = guess(model, given, adapted=model.adapted(lora), reference=picture(), bias=bias)
    expected = straightforward(model, given, lora, bias, joint=True)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert (got - straightforward(model, given, lora, bias)).abs().max() > 1e-3


@pytest.mark.parametrize("rows", ["all", "reference"])
def test_merged_weights_give_the_same_video(rows):
    model, given = network(parts.PATCHED), inputs(parts.PATCHED)
    lora = lora_for(model, rows=rows)
    plain, merged = model.adapted(lora), model.adapted(lora, merge=True)
    first = guess(model, given, adapted=plain, memory=model.remember(picture(), plain))
    second = guess(model, given, adapted=merged, memory=model.remember(picture(), merged))
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


def test_merging_leaves_the_shared_weights_alone():
    model = network(parts.PATCHED)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.adapted(lora_for(model), merge=True)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_on_reference_rows_the_words_and_the_video_keep_the_base_weights():
    model, given = network(parts.PATCHED), inputs(parts.PATCHED)
    adapted = model.adapted(lora_for(model, rows="reference"))
    unseen = torch.full((1, video_tokens(model, given)), -torch.inf)
    blind = guess(model, given, adapted=adapted, memory=model.remember(picture(), adapted), bias=unseen)
    torch.testing.assert_close(blind, guess(model, given), rtol=1e-5, atol=1e-6)


def test_a_new_lora_changes_nothing():
    model, given = network(parts.PATCHED), inputs(parts.PATCHED)
    fresh = ReferenceLora(model.transformer_blocks, model.hidden_size, LoraSettings(rank=2, alpha=2.0))
    torch.testing.assert_close(guess(model, given, adapted=model.adapted(fresh)), guess(model, given))


def test_the_picture_is_at_timestep_zero_and_does_not_depend_on_the_step():
    model, given = network(parts.PATCHED), inputs(parts.PATCHED)
    adapted = model.adapted(lora_for(model))
    seen: list[Tensor] = []
    model.time_proj.register_forward_pre_hook(lambda m, args: seen.append(args[0]))
    memory = model.remember(picture(), adapted)
    assert [t.tolist() for t in seen] == [[0.0]]
    again = model.remember(picture(), adapted)
    assert all(torch.equal(a, b) for a, b in zip(memory.keys, again.keys, strict=True))
    assert memory.tokens == (HEIGHT // 2) * (WIDTH // 2)
    assert (
        guess(model, given, adapted=adapted, memory=memory) - guess(model, given, adapted=adapted)
    ).abs().max() > 0.01


@pytest.mark.parametrize("config", [ROTARY, SLICED, parts.PATCHED])
def test_no_two_tokens_share_a_place(config):
    model = network(config)
    video, shown = rotary_of(config, 4), reference_rotary(model.config, HEIGHT, WIDTH, torch.device("cpu"))
    assert video is not None and shown is not None
    places = torch.cat([torch.cat([v, s]) for v, s in zip(video, shown, strict=True)], 1)
    apart = torch.cdist(places.double(), places.double()).fill_diagonal_(1.0)
    assert apart.min() > 1e-3
    assert len(shown[0]) == (HEIGHT // 2) * (WIDTH // 2)


def test_one_frame_fills_a_patch_of_frames():
    model = network(parts.PATCHED)
    filled = picture().expand(-1, 4, -1, -1, -1)
    no_words = torch.zeros(1, 0, parts.TEXT_DIM)
    embed = model.patch_embed
    embed.use_positional_embeddings = embed.use_learned_positional_embeddings = False
    expected = embed(no_words, filled)
    torch.testing.assert_close(model.embed_reference(picture(), None), expected)


def test_only_the_lora_learns_with_and_without_checkpoints():
    model, given = network(parts.PATCHED), inputs(parts.PATCHED)
    model.requires_grad_(False)
    lora = lora_for(model)
    gradients = []
    for checkpointed in (False, True):
        model.gradient_checkpointing = checkpointed
        lora.zero_grad()
        adapted = model.adapted(lora)
        memory = model.remember(picture(2), adapted)
        model(**given, adapted=adapted, memory=memory)[0].square().mean().backward()
        gradients.append([p.grad.clone() for p in lora.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(list(lora.parameters()))
    assert all(gradient.abs().max() > 0 for gradient in gradients[0])
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-7) for a, b in zip(*gradients, strict=True))
    assert all(p.grad is None for p in model.parameters())


def test_a_watch_sees_the_videos_queries_and_the_words_keys():
    model, given = network(parts.PATCHED), inputs(parts.PATCHED)
    seen: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    class Watch:
        layers = range(1, 2)

        def see(self, query: Tensor, key: Tensor) -> None:
            seen.append((tuple(query.shape), tuple(key.shape)))

    guess(model, given, watch=Watch())
    assert seen == [((2, 2, video_tokens(model, given), 16), (2, 2, parts.TEXT_TOKENS, 16))]


def test_adapted_layers_and_memory_are_plain_data():
    model = network(parts.PATCHED)
    assert isinstance(model.adapted(), Adapted)
    assert isinstance(model.remember(picture(), model.adapted()), ReferenceMemory)
