"""The rendered clips through the VAE, once: `<split>.latents.npy`, float16 [clips, frames, channels, height, width].

Latents are already multiplied by the VAE's scaling factor. A few threads' work is split by clip over processes.
    python -m models.pocket.recipes.latents
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX
from torch import nn

from models.pocket.recipes.autoencoder import to_model
from models.pocket.recipes.dataset import STATE, open_clips
from models.pocket.recipes.training import Rank, autocast, launch
from models.pocket.recipes.vae import WEIGHTS, FrameConv, frame_autoencoder


def latents_path(split: str, folder: Path = STATE) -> Path:
    return folder / f"{split}.latents.npy"


def open_latents(split: str, folder: Path = STATE) -> np.ndarray:
    return np.load(latents_path(split, folder), mmap_mode="r")


def frame_encoder() -> tuple[nn.Module, float]:
    """The saved video VAE as the per-frame network it is (its convolutions' past taps are zero), and its scaling."""
    vae = AutoencoderKLCogVideoX.from_pretrained(WEIGHTS / "vae")
    frames = frame_autoencoder()
    full = dict(vae.named_modules())  # pyright: ignore[reportAttributeAccessIssue]
    state = {k: v for k, v in vae.state_dict().items() if k in frames.state_dict()}  # pyright: ignore
    for name, module in frames.named_modules():
        if isinstance(module, FrameConv):
            conv = full[name].conv
            assert not conv.weight[:, :, :-1].any(), "this VAE looks at past frames; encode whole clips instead"
            state[f"{name}.weight"], state[f"{name}.bias"] = conv.weight[:, :, -1].flatten(1), conv.bias
    frames.load_state_dict(state)
    return frames.eval(), vae.config.scaling_factor  # pyright: ignore[reportAttributeAccessIssue]


@torch.no_grad()
def encode(rank: Rank, split: str) -> None:
    clips = open_clips(split)
    vae, scale = frame_encoder()
    vae.to(rank.device)
    latents = np.load(latents_path(split), mmap_mode="r+")
    start = time.monotonic()
    mine = range(rank.index, len(clips), rank.world)
    for done, index in enumerate(mine, start=1):
        pixels = to_model(torch.from_numpy(np.array(clips[index])).to(rank.device)).unsqueeze(2)
        with autocast(rank.device):
            mean = vae.encode(pixels).latent_dist.mean  # pyright: ignore[reportCallIssue]
        latents[index] = (mean.float() * scale).squeeze(2).cpu().numpy().astype(np.float16)
        if rank.first and done % 500 == 0:
            print(
                f"{split}: {done}/{len(mine)} clips of this process, {done / (time.monotonic() - start):.1f}/s",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    for split in ("test", "train"):
        clips = open_clips(split)
        config: Any = AutoencoderKLCogVideoX.load_config(WEIGHTS / "vae")
        shape = (*clips.shape[:2], config["latent_channels"], clips.shape[2] // 4, clips.shape[3] // 4)
        np.lib.format.open_memmap(latents_path(split), "w+", np.float16, shape).flush()
        launch(encode, options.processes, split)


if __name__ == "__main__":
    main()
