"""Weights saved by older versions of the libraries."""

from __future__ import annotations

from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.unit.studio.towers import registry_with


def test_old_names_of_clip_and_of_stable_diffusions_vae_are_understood(tmp_path):
    import diffusers
    import transformers

    from models.method import Component, Recipe

    clip: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    networks = {
        "text": ("transformers:CLIPTextModel", transformers.CLIPTextModel(transformers.CLIPTextConfig(**clip))),
        "siglip": (
            "transformers:SiglipVisionModel",
            transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**clip, image_size=32)),
        ),
        "vae": ("diffusers:AutoencoderKL", diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=2)),
    }
    older = {
        "text": lambda name: f"text_model.{name}",
        "siglip": lambda name: f"vision_model.{name}",
        "vae": lambda name: name.replace("to_q", "query").replace("to_k", "key").replace("to_v", "value").replace(
            "to_out.0", "proj_attn"
        ),
    }  # fmt: skip
    extra: dict[str, dict[str, torch.Tensor]] = {
        "text": {"text_model.embeddings.position_ids": torch.arange(77)[None]},
        "siglip": {"text_model.head.weight": torch.zeros(2), "logit_scale": torch.zeros(1)},
        "vae": {},
    }
    for name, (_, network) in networks.items():
        network.save_pretrained(tmp_path / name)
        file = next((tmp_path / name).glob("*.safetensors"))
        renamed = {older[name](key): tensor for key, tensor in load_file(file).items()}
        save_file(renamed | extra[name], file)
    parts = tuple(Component(name, builder, str(tmp_path / name)) for name, (builder, _) in networks.items())
    with registry_with("cpu").acquire(Recipe("m", "tests.unit.studio.tiny_networks:Holder", parts)) as pipeline:
        for name, (_, network) in networks.items():
            ours, theirs = pipeline.parts[name].state_dict(), network.state_dict()
            assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in theirs)
