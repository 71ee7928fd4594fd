"""The authors' `3d-vae.pt` (SAT names) -> diffusers' `AutoencoderKLCogVideoX`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import AutoencoderKLCogVideoX
from torch import Tensor

from models.common.conversion import Renamed, check_names, load_pickle, pick, write_folder

# CogVideoX-2B's VAE is the class's default configuration, scaling factor 1.15258426 included
_PARTS = (
    (re.compile(r"\bmid\.block_1\b"), "mid_block.resnets.0"),
    (re.compile(r"\bmid\.block_2\b"), "mid_block.resnets.1"),
    (re.compile(r"\bdown\.(\d+)\.block\.(\d+)"), r"down_blocks.\1.resnets.\2"),
    (re.compile(r"\bdown\.(\d+)\.downsample\b"), r"down_blocks.\1.downsamplers.0"),
    (re.compile(r"\bnin_shortcut\b"), "conv_shortcut"),
)
_UP_BLOCK = re.compile(r"\bup\.(\d+)\.block\.(\d+)")
_UPSAMPLE = re.compile(r"\bup\.(\d+)\.upsample\b")


def rename(names: Iterable[str], levels: int) -> Renamed:
    """Names under `encoder.` and `decoder.`; SAT counts the decoder's levels from the output."""
    renamed = Renamed()
    last = levels - 1
    for name in names:
        if not name.startswith(("encoder.", "decoder.")):
            (renamed.ignored if name.startswith("loss.") else renamed.unexpected).append(name)
            continue
        new = name
        for pattern, replacement in _PARTS:
            new = pattern.sub(replacement, new)
        new = _UP_BLOCK.sub(lambda m: f"up_blocks.{last - int(m[1])}.resnets.{m[2]}", new)
        new = _UPSAMPLE.sub(lambda m: f"up_blocks.{last - int(m[1])}.upsamplers.0", new)
        renamed.sources[new] = (name, None)
    return renamed


def levels_of(vae: AutoencoderKLCogVideoX) -> int:
    """Resolutions of a VAE."""
    config: Any = vae.config
    return len(config.block_out_channels)


def convert_tensors(tensors: Mapping[str, Tensor], vae: AutoencoderKLCogVideoX, only: str = "") -> dict[str, Tensor]:
    """Tensors under diffusers' names, strict; `only` "decoder." accepts a checkpoint without the encoder."""
    renamed = rename(tensors, levels_of(vae))
    check_names(renamed, tensors, vae.state_dict(), "CogVideoX VAE", only)
    return {name: pick(tensors, source) for name, source in renamed.sources.items()}


def convert_vae(path: Path, folder: Path, config: Mapping[str, Any] | None = None) -> int:
    """Write `folder` in diffusers layout; returns the number of tensors."""
    state = load_pickle(path)
    tensors = state.get("state_dict", state)
    with torch.device("meta"):
        vae = AutoencoderKLCogVideoX(**config or {})
    renamed = rename(tensors, levels_of(vae))
    check_names(renamed, tensors, vae.state_dict(), "CogVideoX VAE")
    write_folder(folder, vae, tensors, renamed)
    return len(renamed.sources)
