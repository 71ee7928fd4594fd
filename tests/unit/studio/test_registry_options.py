"""What the registry can do to a network to make it smaller or faster, and that it says when it cannot."""

from __future__ import annotations

from typing import Any

import diffusers
import pytest
import torch
from diffusers.models.attention_processor import Attention

from models.common.attention_backends import DispatchedAttention, DispatchedCogVideoXAttention, use_backend
from models.method import Component
from models.repvideo.transformer import RepVideoTransformer3DModel
from studio.events import StudioError
from studio.registry.options import Options, for_memory
from studio.registry.precision import SMALL, compute_format, format_rule
from studio.registry.shells import Shell, form_of, restore
from studio.registry.tuning import compile_blocks, tune

SMALL_COGVIDEOX: dict[str, Any] = {
    "num_attention_heads": 2, "attention_head_dim": 16, "in_channels": 4, "out_channels": 4, "time_embed_dim": 8,
    "text_embed_dim": 32, "num_layers": 4, "sample_width": 8, "sample_height": 8, "sample_frames": 5, "patch_size": 2,
    "max_text_seq_length": 8, "use_rotary_positional_embeddings": True,
}  # fmt: skip
DENOISER = Component("transformer", "diffusers:CogVideoXTransformer3DModel", "")


def cogvideox() -> Any:
    torch.manual_seed(0)
    return diffusers.CogVideoXTransformer3DModel(**SMALL_COGVIDEOX).eval()


def inputs(seed: int = 0, size: int = 8) -> dict[str, Any]:
    draw = torch.Generator().manual_seed(seed)
    tokens = 2 * (size // 2) ** 2
    angles = torch.rand(tokens, 16, generator=draw)
    return {
        "hidden_states": torch.randn(1, 2, 4, size, size, generator=draw),
        "encoder_hidden_states": torch.randn(1, 8, 32, generator=draw),
        "timestep": torch.tensor([500]),
        "image_rotary_emb": (angles.cos(), angles.sin()),
    }


@torch.no_grad()
def output(network: Any, **values: Any) -> torch.Tensor:
    return network(**values).sample


def test_cogvideox_attention_through_the_dispatcher_gives_the_same_bits():
    network, given = cogvideox(), inputs()
    expected = output(network, **given)
    assert use_backend(network, "native") == 4
    assert isinstance(network.transformer_blocks[0].attn1.processor, DispatchedCogVideoXAttention)
    assert torch.equal(output(network, **given), expected)


def test_an_attention_backend_really_computes(monkeypatch):
    import diffusers.models.attention_dispatch as dispatch

    network, calls = cogvideox(), []
    use_backend(network, "_native_math")
    backends = dispatch._AttentionBackendRegistry._backends
    inner = backends[dispatch.AttentionBackendName("_native_math")]
    counting = lambda **values: (calls.append(1), inner(**values))[1]  # noqa: E731
    monkeypatch.setitem(backends, dispatch.AttentionBackendName("_native_math"), counting)
    assert torch.isfinite(output(network, **inputs())).all()
    assert len(calls) == 4


def test_plain_attention_through_the_dispatcher_gives_the_same_bits():
    torch.manual_seed(0)
    layer = Attention(32, cross_attention_dim=24, heads=4, dim_head=8).eval()
    tokens, context = torch.randn(2, 5, 32), torch.randn(2, 7, 24)
    mask = torch.zeros(2, 1, 7)
    expected = [layer(tokens, context), layer(tokens, context, attention_mask=mask)]
    assert use_backend(layer, "native") == 1 and isinstance(layer.processor, DispatchedAttention)
    assert torch.equal(layer(tokens, context), expected[0])
    assert torch.equal(layer(tokens, context, attention_mask=mask), expected[1])


def test_a_vaes_attention_and_a_methods_own_processors_are_left_alone():
    vae = diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=2)
    assert use_backend(vae, "native") == 0


@pytest.mark.parametrize("name", ["nonsense", "sage"])
def test_a_backend_that_is_not_there_is_a_sentence(name):
    with pytest.raises(StudioError, match=name):
        tune(cogvideox(), DENOISER, torch.float32, Options(attention=name))


def test_regional_compilation_reaches_every_block_and_changes_nothing():
    network, given = cogvideox(), inputs()
    expected = output(network, **given)
    assert compile_blocks(network, backend="eager", fullgraph=True) == 4
    assert torch.allclose(output(network, **given), expected, atol=1e-6)


def test_a_network_of_ours_compiles_by_the_blocks_of_its_parent():
    network = RepVideoTransformer3DModel(**SMALL_COGVIDEOX)
    assert compile_blocks(network, backend="eager") == 4


def test_a_first_block_cache_is_lossy_and_a_reset_makes_the_next_job_the_first():
    network = cogvideox()
    plain = output(network, **inputs())
    tune(network, DENOISER, torch.float32, Options(block_cache=10.0))
    shell = Shell(network, 0)
    shell.form = form_of(network)
    first, again = output(network, **inputs()), output(network, **inputs(seed=1))
    assert torch.equal(first, plain), "the first step computes everything"
    assert not torch.allclose(again, output(cogvideox(), **inputs(seed=1)), atol=1e-4), "the second skips blocks"
    assert restore(shell)
    assert torch.equal(output(network, **inputs()), plain)
    assert restore(shell)
    larger = inputs(size=12)
    assert torch.equal(output(network, **larger), output(cogvideox(), **larger)), "another size after a stopped job"


def test_a_block_cache_is_refused_where_blocks_read_each_other():
    network = RepVideoTransformer3DModel(**SMALL_COGVIDEOX)
    with pytest.raises(StudioError, match="transformer cannot skip blocks"):
        tune(network, DENOISER, torch.float32, Options(block_cache=0.1))


def test_a_job_that_changes_its_module_loses_it():
    network = cogvideox()
    shell = Shell(network, 0)
    shell.form = form_of(network)
    assert restore(shell)
    from peft import LoraConfig

    network.add_adapter(LoraConfig(r=2, target_modules=["to_q"]))
    assert not restore(shell)


def test_switches_of_a_vae_are_put_back():
    vae = diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=2)
    shell = Shell(vae, 0)
    shell.form = form_of(vae)
    vae.enable_tiling()
    assert vae.use_tiling and restore(shell) and not vae.use_tiling


@pytest.mark.parametrize(
    ("builder", "asked", "device", "expected"),
    [
        ("transformers:T5EncoderModel", "", "cuda", "bfloat16"),
        ("diffusers:UNetMotionModel", "", "cuda", "float16"),
        ("models.repvideo.transformer:RepVideoTransformer3DModel", "", "cuda", "bfloat16"),
        ("diffusers:UNetMotionModel", "float16", "cpu", "float32"),
        ("diffusers:UNetMotionModel", "", "cpu", "float32"),
        ("diffusers:UNetMotionModel", "bfloat16", "cpu", "bfloat16"),
        ("diffusers:UNetMotionModel", "float32", "cuda", "float32"),
    ],
)
def test_the_number_format_follows_the_table(builder, asked, device, expected):
    assert compute_format(Component("part", builder, "", dtype=asked), device) == expected


def test_only_large_matrices_rest_in_float8_and_t5s_wo_never_in_float16():
    small = format_rule("bfloat16", small="float8")
    assert small("transformer_blocks.0.attn1.to_q.weight", (64, 64)) == SMALL["float8"]
    for name in ("transformer_blocks.0.norm1.linear.weight", "patch_embed.proj.weight", "conv_in.weight"):
        assert small(name, (64, 64)) == "bfloat16"
    assert small("transformer_blocks.0.attn1.to_q.bias", (64,)) == "bfloat16"
    assert small("conv1.weight", (64, 64, 3, 3)) == SMALL["float8"]
    assert format_rule("bfloat16", small="int8")("conv1.weight", (64, 64, 3, 3)) == "bfloat16", "int8 is for products"
    half = format_rule("float16", in_float32=("wo",))
    assert half("encoder.block.0.layer.1.DenseReluDense.wo.weight", (8, 8)) == "float32"
    assert half("encoder.block.0.layer.1.DenseReluDense.wi.weight", (8, 8)) == "float16"


def test_memory_presets_save_more_on_smaller_cards():
    assert for_memory(Options(), "auto", 24 << 30) == Options(
        small_weights="float8", vae_slicing=True, vae_tiling=True
    )
    assert for_memory(Options(), "auto", 80 << 30) == Options() == for_memory(Options(), "", 1)
    assert for_memory(Options(compile=True), "48 GB", 0) == Options(compile=True, vae_slicing=True, vae_tiling=True)
    assert for_memory(Options(small_weights="int8"), "24 GB", 0).small_weights == "int8", "what is asked for stays"
    assert "tiled decoding" in for_memory(Options(), "48 GB", 0).changes_pixels
