"""The rendered clips through the VAE, once: `<split>.latents.npy`, float16 [clips, frames, channels, height, width].

Latents are already multiplied by the VAE's scaling factor. The work is split by clip over processes. The AnimateDiff
kind's lie beside, in `<split>.animatediff.npy`: the first 16 frames of every clip.
    python -m models.pocket.recipes.latents [animatediff]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderKLCogVideoX
from torch import Tensor, nn

from models.pocket.recipes.animatediff_vae import WEIGHTS as ANIMATEDIFF_WEIGHTS
from models.pocket.recipes.autoencoder import to_model
from models.pocket.recipes.dataset import PEOPLE, STATE, TINTED, open_clips
from models.pocket.recipes.training import Rank, autocast, launch
from models.pocket.recipes.vae import WEIGHTS, FrameConv, frame_autoencoder


def latents_path(split: str, folder: Path = STATE, kind: str = "cogvideox") -> Path:
    return folder / (f"{split}.latents.npy" if kind == "cogvideox" else f"{split}.{kind}.npy")


def open_latents(split: str, folder: Path = STATE, kind: str = "cogvideox") -> np.ndarray:
    return np.load(latents_path(split, folder, kind), mmap_mode="r")


def frame_encoder() -> tuple[nn.Module, float]:
    """The saved video VAE with the per-frame encoder it has (its convolutions' past taps are zero), and its scaling.

    Its decoder is not the saved one, which looks at past frames.
    """
    vae = AutoencoderKLCogVideoX.from_pretrained(WEIGHTS / "vae")
    frames = frame_autoencoder()
    full = dict(vae.named_modules())  # pyright: ignore[reportAttributeAccessIssue]
    known = frames.state_dict()
    state = {k: v for k, v in vae.state_dict().items() if k in known and k.startswith("encoder.")}  # pyright: ignore
    for name, module in frames.named_modules():
        if isinstance(module, FrameConv) and name.startswith("encoder."):
            conv = full[name].conv
            assert not conv.weight[:, :, :-1].any(), "this VAE looks at past frames; encode whole clips instead"
            state[f"{name}.weight"], state[f"{name}.bias"] = conv.weight[:, :, -1].flatten(1), conv.bias
    frames.load_state_dict(state, strict=False)
    return frames.eval(), vae.config.scaling_factor  # pyright: ignore[reportAttributeAccessIssue]


def scaled_encoder(kind: str, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Frames [frames, 3, height, width] -> latents of variance one."""
    if kind == "cogvideox":
        vae, scale = frame_encoder()
        vae.to(device)
        return lambda pixels: vae.encode(pixels.unsqueeze(2)).latent_dist.mean.squeeze(2) * scale  # pyright: ignore[reportCallIssue]
    vae: Any = AutoencoderKL.from_pretrained(ANIMATEDIFF_WEIGHTS / "vae", dtype=torch.float32)
    vae.to(device).eval()
    return lambda pixels: vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor


@torch.no_grad()
def encode(rank: Rank, split: str, kind: str) -> None:
    """Encode as many frames of every clip as the file made for them holds."""
    clips = open_clips(split)
    encoder = scaled_encoder(kind, rank.device)
    latents = np.load(latents_path(split, kind=kind), mmap_mode="r+")
    start = time.monotonic()
    mine = range(rank.index, len(latents), rank.world)
    for done, index in enumerate(mine, start=1):
        pixels = to_model(torch.from_numpy(np.array(clips[index, : latents.shape[1]])).to(rank.device))
        with autocast(rank.device):
            latents[index] = encoder(pixels).float().cpu().numpy().astype(np.float16)
        if rank.first and done % 500 == 0:
            print(
                f"{split}: {done}/{len(mine)} clips of this process, {done / (time.monotonic() - start):.1f}/s",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?", choices=("cogvideox", "animatediff"), default="cogvideox")
    parser.add_argument(
        "--splits", nargs="+", default=["test", "train", TINTED], choices=("test", "train", PEOPLE, TINTED)
    )
    parser.add_argument("--clips", type=int, default=12_000, help="at most this many of each split")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    folder, frames = (WEIGHTS, 20) if options.kind == "cogvideox" else (ANIMATEDIFF_WEIGHTS, 16)
    config: Any = AutoencoderKL.load_config(folder / "vae")
    ratio = 2 ** (len(config["block_out_channels"]) - 1)
    for split in options.splits:
        clips = open_clips(split)
        shape = (
            min(len(clips), options.clips),
            frames,
            config["latent_channels"],
            clips.shape[2] // ratio,
            clips.shape[3] // ratio,
        )
        np.lib.format.open_memmap(latents_path(split, kind=options.kind), "w+", np.float16, shape).flush()
        launch(encode, options.processes, split, options.kind)


if __name__ == "__main__":
    main()
