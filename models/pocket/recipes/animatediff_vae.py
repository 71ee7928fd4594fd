"""Train the pocket AutoencoderKL of the AnimateDiff kind (8x smaller in space, frame by frame).

The same training as the CogVideoX kind's (recipe `vae`); the latents of a frame are 32 x 8 x 8.
    python -m models.pocket.recipes.animatediff_vae --seconds 600
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from models.pocket.recipes.autoencoder import start_downsampler, start_upsampler, to_model, train_frames
from models.pocket.recipes.matrix_conv import plain_state, use_matrix_convolutions
from models.pocket.recipes.training import Rank, autocast, launch

WEIGHTS = Path("models/pocket/weights/animatediff")
CONFIG = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 32, "block_out_channels": (16, 32, 64, 64),
    "layers_per_block": 1, "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4, "norm_num_groups": 8, "sample_size": 64,
    "mid_block_add_attention": False, "use_quant_conv": False, "use_post_quant_conv": False,
}  # fmt: skip
LOG_VARIANCE = -16.0  # not learned: a sample is the mean


def autoencoder() -> AutoencoderKL:
    """The network at the start of training, near a linear codec: residual branches at zero, orthogonal space-to-depth
    on the way down, near the identity on the way up."""
    vae = AutoencoderKL(**CONFIG)
    for name, module in vae.named_modules():
        if name.endswith(".conv2"):
            nn.init.zeros_(module.weight)  # pyright: ignore[reportArgumentType]
        elif name.endswith("downsamplers.0.conv"):
            start_downsampler(module)  # pyright: ignore[reportArgumentType]
        elif name.endswith("upsamplers.0.conv"):
            start_upsampler(module)  # pyright: ignore[reportArgumentType]
    use_matrix_convolutions(vae)
    return vae


def reconstruct(vae: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Latents and decoded frames of frames [batch, 3, height, width]."""
    latents = vae.encode(pixels).latent_dist.mean
    return latents, vae.decode(latents).sample


@torch.no_grad()
def export(trained: Any, clips: np.ndarray, device: torch.device) -> None:
    """Write the network (fp16), with the scaling that makes its latents' variance one."""
    pixels = to_model(torch.from_numpy(np.array(clips[:, 5])).to(device))
    with autocast(device):
        latents = torch.cat([trained.encode(part).latent_dist.mean.float() for part in pixels.split(16)])
    vae = AutoencoderKL(**CONFIG, scaling_factor=round(1.0 / float(latents.std()), 5))
    state = plain_state(trained.cpu())
    channels = CONFIG["latent_channels"]
    state["encoder.conv_out.weight"] = state["encoder.conv_out.weight"].clone()
    state["encoder.conv_out.weight"][channels:] = 0
    state["encoder.conv_out.bias"][channels:] = LOG_VARIANCE
    vae.load_state_dict(state)
    vae.half().save_pretrained(WEIGHTS / "vae")


def train(rank: Rank, seconds: float, batch: int) -> None:
    train_frames(rank, "animatediff_vae", autoencoder, reconstruct, export, seconds, batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    launch(train, options.processes, options.seconds, options.batch)


if __name__ == "__main__":
    main()
