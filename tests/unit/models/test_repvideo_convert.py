"""The released SAT layout, written by hand at tiny size, through conversion and back into a network."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.common.cogvideox import vae_conversion
from models.common.conversion import ConversionError, write_folder
from models.repvideo import convert
from models.repvideo.convert import NETWORK_PREFIX, POSITIONS
from models.repvideo.transformer import RepVideoTransformer3DModel
from tests.unit.models import cogvideox_parts as parts

NAMES = {
    "learnable_gating": "transformer.learnable_gating",
    "time_embedding.linear_1.": "time_embed.0.",
    "time_embedding.linear_2.": "time_embed.2.",
    "patch_embed.": "mixins.patch_embed.",
    "norm_final.": "transformer.final_layernorm.",
    "norm_out.norm.": "mixins.final_layer.norm_final.",
    "norm_out.linear.": "mixins.final_layer.adaLN_modulation.1.",
    "proj_out.": "mixins.final_layer.linear.",
}
BLOCK = {
    "attn1.norm_q.": "mixins.adaln_layer.query_layernorm_list.{}.",
    "attn1.norm_k.": "mixins.adaln_layer.key_layernorm_list.{}.",
    "attn1.to_out.0.": "transformer.layers.{}.attention.dense.",
    "norm1.norm.": "transformer.layers.{}.input_layernorm.",
    "norm2.norm.": "transformer.layers.{}.post_attention_layernorm.",
    "ff.net.0.proj.": "transformer.layers.{}.mlp.dense_h_to_4h.",
    "ff.net.2.": "transformer.layers.{}.mlp.dense_4h_to_h.",
}


def as_sat(model: Any) -> dict[str, Tensor]:
    """The authors' names and fused tensors of a network, independent of the name table under test."""
    state = dict(model.state_dict())
    sat: dict[str, Tensor] = {}
    for layer in range(model.config.num_layers):
        block = f"transformer_blocks.{layer}."
        for kind in ("weight", "bias"):
            fused = [state.pop(f"{block}attn1.to_{part}.{kind}") for part in "qkv"]
            sat[f"transformer.layers.{layer}.attention.query_key_value.{kind}"] = torch.cat(fused)
            one = state.pop(f"{block}norm1.linear.{kind}").chunk(6)
            two = state.pop(f"{block}norm2.linear.{kind}").chunk(6)
            order = [*one[:3], *two[:3], *one[3:], *two[3:]]
            sat[f"mixins.adaln_layer.adaLN_modulations.{layer}.1.{kind}"] = torch.cat(order)
            for name, theirs in BLOCK.items():
                sat[theirs.format(layer) + kind] = state.pop(block + name + kind)
    for name, tensor in state.items():
        prefix = next(p for p in NAMES if name.startswith(p))
        sat[NAMES[prefix] + name.removeprefix(prefix)] = tensor
    sat[POSITIONS] = model.patch_embed.pos_embedding
    return {NETWORK_PREFIX + name: tensor for name, tensor in sat.items()}


def write_checkpoint(folder: Path, tensors: dict[str, Tensor], **others: Any) -> Path:
    (folder / "1000").mkdir(parents=True)
    (folder / "latest").write_text("1000\n")
    torch.save({"module": tensors, "iteration": 1000, **others}, folder / "1000/mp_rank_00_model_states.pt")
    return folder


@pytest.fixture
def model() -> RepVideoTransformer3DModel:
    return parts.network(parts.SMALL)


def test_a_released_checkpoint_becomes_a_folder_that_loads(tmp_path, model, monkeypatch, capsys):
    monkeypatch.setattr(convert, "RELEASED_CONFIG", parts.SMALL)
    other = {"conditioner.embedders.0.transformer.x": torch.zeros(1), "first_stage_model.y": torch.zeros(1)}
    folder = write_checkpoint(tmp_path / "released", as_sat(model) | other)
    convert.main([str(folder), str(tmp_path / "out")])
    assert "3 others left out" in capsys.readouterr().out
    loaded = RepVideoTransformer3DModel.from_pretrained(tmp_path / "out/transformer").eval()
    inputs = torch.randn(1, 3, parts.CHANNELS, 6, 8), torch.randn(1, parts.TEXT_TOKENS, parts.TEXT_DIM)
    with torch.no_grad():
        expected = model(*inputs, torch.tensor([7.0])).sample
        torch.testing.assert_close(loaded(*inputs, torch.tensor([7.0])).sample, expected)
    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), rtol=0, atol=0)
    scheduler = json.loads((tmp_path / "out/scheduler/scheduler_config.json").read_text())
    assert scheduler["snr_shift_scale"] == 3.0


def test_shards_are_written_one_by_one_with_an_index(tmp_path, model):
    tensors = as_sat(model)
    renamed = convert.network_sources(tensors, parts.SMALL)
    files = write_folder(tmp_path, model, tensors, renamed, shard_bytes=50_000)
    assert len(files) > 2
    index = json.loads((tmp_path / "diffusion_pytorch_model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(model.state_dict())
    loaded = RepVideoTransformer3DModel.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), rtol=0, atol=0)


def test_every_wrong_name_is_listed(model):
    tensors = as_sat(model)
    del tensors[NETWORK_PREFIX + "transformer.learnable_gating"], tensors[NETWORK_PREFIX + "time_embed.0.bias"]
    tensors[NETWORK_PREFIX + "transformer.word_embeddings.weight"] = torch.zeros(1)
    tensors[NETWORK_PREFIX + "time_embed.2.bias"] = torch.zeros(3)
    with pytest.raises(ConversionError) as caught:
        convert.network_sources(tensors, parts.SMALL)
    for words in (
        "2 missing:\n  learnable_gating\n  time_embedding.linear_1.bias",
        "1 unexpected:\n  model.diffusion_model.transformer.word_embeddings.weight",
        "1 wrong shape:\n  time_embedding.linear_2.bias (3,) instead of (16,)",
    ):
        assert words in str(caught.value)


def test_another_position_table_is_refused(model):
    tensors = as_sat(model)
    tensors[NETWORK_PREFIX + POSITIONS] = tensors[NETWORK_PREFIX + POSITIONS] + 1
    with pytest.raises(ValueError, match="not the table this configuration makes"):
        convert.network_sources(tensors, parts.SMALL)


def test_a_pickle_that_holds_more_than_tensors_is_not_opened(tmp_path, model):
    folder = write_checkpoint(tmp_path / "bad", {}, args=argparse.Namespace(seed=1))
    with pytest.raises(ConversionError, match="would run code of its author"):
        convert.read_checkpoint(folder)


def test_a_folder_without_latest_says_so(tmp_path):
    with pytest.raises(ValueError, match="has no file 'latest'"):
        convert.read_checkpoint(tmp_path)


def test_the_authors_configuration_is_understood():
    upstream = {
        "time_embed_dim": 16, "num_frames": 9, "time_compressed_rate": 4, "latent_width": 8, "latent_height": 6,
        "num_layers": 9, "patch_size": 2, "in_channels": 4, "out_channels": 4, "hidden_size": 32,
        "num_attention_heads": 2,
        "modules": {
            "pos_embed_config": {
                "params": {"text_length": 8, "height_interpolation": 1.875, "width_interpolation": 1.875}
            },
            "patch_embed_config": {"params": {"text_hidden_size": 16}},
            "adaln_layer_config": {"params": {"qk_ln": True}},
        },
    }  # fmt: skip
    config = convert.config_from_upstream(upstream)
    assert {name: config[name] for name in parts.SMALL} == parts.SMALL


def sat_vae_name(name: str) -> str:
    """diffusers' VAE name -> SAT's, three levels."""
    for level in range(3):
        name = name.replace(f"up_blocks.{level}.resnets.", f"up.{2 - level}.block.")
        name = name.replace(f"up_blocks.{level}.upsamplers.0", f"up.{2 - level}.upsample")
        name = name.replace(f"down_blocks.{level}.resnets.", f"down.{level}.block.")
        name = name.replace(f"down_blocks.{level}.downsamplers.0", f"down.{level}.downsample")
    name = name.replace("mid_block.resnets.0", "mid.block_1").replace("mid_block.resnets.1", "mid.block_2")
    return name.replace("conv_shortcut", "nin_shortcut")


def test_the_vae_of_the_authors_is_converted(tmp_path):
    vae = parts.vae()
    tensors = {sat_vae_name(name): tensor for name, tensor in vae.state_dict().items()}
    assert "encoder.down.0.downsample.conv.weight" in tensors
    torch.save({"state_dict": tensors | {"loss.logvar": torch.zeros(1)}}, tmp_path / "3d-vae.pt")
    config = {name: value for name, value in vae.config.items() if not name.startswith("_")}
    vae_conversion.convert_vae(tmp_path / "3d-vae.pt", tmp_path / "vae", config)
    loaded = type(vae).from_pretrained(tmp_path / "vae")
    torch.testing.assert_close(loaded.state_dict(), vae.state_dict(), rtol=0, atol=0)
