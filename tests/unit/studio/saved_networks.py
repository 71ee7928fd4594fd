"""Networks of the kinds the methods have, a few kilobytes each, as their libraries save them; recipes over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from models.method import Component, Recipe

TRANSFORMER: dict[str, Any] = {
    "num_attention_heads": 2, "attention_head_dim": 16, "in_channels": 4, "out_channels": 4, "time_embed_dim": 8,
    "text_embed_dim": 32, "num_layers": 2, "sample_width": 8, "sample_height": 8, "sample_frames": 5, "patch_size": 2,
    "max_text_seq_length": 8,
}  # fmt: skip
VAE: dict[str, Any] = {
    "down_block_types": ("CogVideoXDownBlock3D",) * 2, "up_block_types": ("CogVideoXUpBlock3D",) * 2,
    "block_out_channels": (8, 8), "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 2,
    "temporal_compression_ratio": 1,
}  # fmt: skip
UNET: dict[str, Any] = {
    "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4, "cross_attention_dim": 32,
}  # fmt: skip
MOTION: dict[str, Any] = {
    "down_block_types": ("CrossAttnDownBlockMotion", "DownBlockMotion"), "num_attention_heads": 2,
    "up_block_types": ("UpBlockMotion", "CrossAttnUpBlockMotion"), "motion_num_attention_heads": 2,
    "motion_max_seq_length": 8, "use_motion_mid_block": False,
}  # fmt: skip
VIDEO: dict[str, Any] = {
    "down_block_types": ("CrossAttnDownBlock3D", "DownBlock3D"), "attention_head_dim": 4,
    "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D"),
}  # fmt: skip
BUILDERS = {
    "text_encoder": "transformers:T5EncoderModel",
    "clip": "transformers:CLIPVisionModelWithProjection",
    "clip_text": "transformers:CLIPTextModel",
    "siglip": "transformers:SiglipVisionModel",
    "unet_motion": "diffusers:UNetMotionModel",
    "unet_3d": "diffusers:UNet3DConditionModel",
    "vae": "diffusers:AutoencoderKLCogVideoX",
    "transformer": "diffusers:CogVideoXTransformer3DModel",
    "learned": "diffusers:CogVideoXTransformer3DModel",
    "sharded": "diffusers:CogVideoXTransformer3DModel",
    "scheduler": "diffusers:CogVideoXDDIMScheduler",
}
NETWORKS = ("text_encoder", "clip", "clip_text", "siglip", "unet_motion", "unet_3d", "vae", "transformer", "learned")
HERE = __name__


class Parts:
    """A pipeline that only holds what it was given."""

    def __init__(self, **parts):
        self.__dict__.update(parts)

    def __call__(self, request, on_step):
        return []


class Broken:
    def __init__(self, **parts):
        raise RuntimeError("constructor")


def save_networks(folder: Path) -> None:
    """One folder per network, as its own library writes it."""
    torch.manual_seed(0)
    config = transformers.T5Config(d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, vocab_size=100)
    clip: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    networks = {
        "text_encoder": transformers.T5EncoderModel(config),
        "clip": transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**clip, image_size=32)),
        "clip_text": transformers.CLIPTextModel(transformers.CLIPTextConfig(**clip, vocab_size=100)),
        "siglip": transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**clip, image_size=32)),
        "unet_motion": diffusers.UNetMotionModel(**UNET, **MOTION),
        "unet_3d": diffusers.UNet3DConditionModel(**UNET, **VIDEO),
        "vae": diffusers.AutoencoderKLCogVideoX(**VAE),
        "transformer": diffusers.CogVideoXTransformer3DModel(**TRANSFORMER),
        "learned": diffusers.CogVideoXTransformer3DModel(
            **TRANSFORMER, use_rotary_positional_embeddings=True, use_learned_positional_embeddings=True
        ),
    }
    for name, network in networks.items():
        network.eval().save_pretrained(folder / name)
    networks["transformer"].save_pretrained(folder / "sharded", max_shard_size="50KB")
    diffusers.CogVideoXDDIMScheduler().save_pretrained(folder / "scheduler")


def recipe_over(
    folder: Path, *names: str, method: str = "one", dtype: str = "", pipeline: str = f"{HERE}:Parts"
) -> Recipe:
    """These networks of a folder, handed to `Parts`."""
    components = tuple(
        Component(
            name, BUILDERS[name], str(folder / name), kind="files" if name == "scheduler" else "module", dtype=dtype
        )
        for name in names
    )
    return Recipe(method, pipeline, components)


def load_reference(name: str, folder: Path) -> Any:
    """As the network's own library loads it."""
    library, _, cls = BUILDERS[name].partition(":")
    return getattr({"diffusers": diffusers, "transformers": transformers}[library], cls).from_pretrained(folder)


def weights_in(folder: Path) -> Path:
    return next(path for path in folder.iterdir() if path.suffix == ".safetensors")


def storages(module: torch.nn.Module) -> set[int]:
    return {tensor.untyped_storage().data_ptr() for tensor in module.parameters()}


def edit(path: Path, change) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
