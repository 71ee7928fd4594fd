"""Train the pocket AutoencoderKLCogVideoX: frame by frame, then inflated to video (temporal ratio 1).

A causal 3-tap convolution whose two past taps are zero is a per-frame convolution, so the network is trained on
single frames with plain 2D convolutions (`FrameConv`) and saved as the full 3D one.
    python -m models.pocket.recipes.vae --seconds 1200
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXCausalConv3d, CogVideoXSpatialNorm3D
from torch import Tensor, nn
from torch.nn import functional as F

from models.pocket.recipes.autoencoder import start_downsampler, start_upsampler, to_model, train_frames
from models.pocket.recipes.matrix_conv import MatrixConv
from models.pocket.recipes.training import Rank, autocast, launch

WEIGHTS = Path("models/pocket/weights/cogvideox")
CONFIG = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 8, "block_out_channels": (16, 32, 64),
    "layers_per_block": 1,
    "down_block_types": ("CogVideoXDownBlock3D",) * 3, "up_block_types": ("CogVideoXUpBlock3D",) * 3,
    "norm_num_groups": 8, "temporal_compression_ratio": 1, "sample_height": 64, "sample_width": 64,
    "use_quant_conv": False, "use_post_quant_conv": False,
}  # fmt: skip


class FrameConv(MatrixConv):
    """The current-frame tap of a causal 3D convolution."""

    def __init__(self, source: CogVideoXCausalConv3d) -> None:
        conv = source.conv
        kernel = conv.kernel_size[1]
        super().__init__(conv.in_channels, conv.out_channels, kernel, padding=kernel // 2)

    def forward(self, inputs: Tensor, conv_cache: Tensor | None = None) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride] -- the causal convolution's interface
        out = super().forward(inputs.transpose(1, 2).flatten(0, 1))
        return out.unflatten(0, (inputs.shape[0], -1)).transpose(1, 2), None


def frame_autoencoder() -> AutoencoderKLCogVideoX:
    """The network of CONFIG with every causal convolution replaced by its FrameConv, and an initialisation that
    starts as a linear codec: residual branches at zero, orthogonal space-to-depth on the way down."""
    vae = AutoencoderKLCogVideoX(**CONFIG)
    _to_frames(vae)
    for name, module in vae.named_modules():
        if isinstance(module, CogVideoXSpatialNorm3D):
            nn.init.ones_(module.conv_y.bias)  # pyright: ignore[reportArgumentType]
            nn.init.zeros_(module.conv_b.bias)  # pyright: ignore[reportArgumentType]
            with torch.no_grad():
                module.conv_y.weight.mul_(0.3)  # pyright: ignore[reportCallIssue]
        elif name.endswith(".conv2"):
            nn.init.zeros_(module.weight)  # pyright: ignore[reportArgumentType]
        elif isinstance(module, nn.Conv2d) and "downsamplers" in name:
            start_downsampler(module)
        elif isinstance(module, nn.Conv2d) and "upsamplers" in name:
            start_upsampler(module)
    return vae


def _to_frames(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, CogVideoXCausalConv3d):
            setattr(module, name, FrameConv(child))
        else:
            _to_frames(child)


def inflate(frames: AutoencoderKLCogVideoX, latent_std: float) -> AutoencoderKLCogVideoX:
    """The video network with the same function on every frame; `scaling_factor` makes its latents' variance one."""
    vae = AutoencoderKLCogVideoX(**CONFIG, scaling_factor=round(1.0 / latent_std, 5))
    state = frames.state_dict()
    full = vae.state_dict()
    for name, value in full.items():
        if (flat := name.replace(".conv.", ".")) in state and name not in state:
            source = state[flat]
            if value.ndim == 5:
                value.zero_()
                value[:, :, -1] = source.view(value.shape[0], value.shape[1], *value.shape[3:])
            else:
                value.copy_(source)
        else:
            value.copy_(state[name])
    # the log-variances are not learned: a sample is the mean
    channels = CONFIG["latent_channels"]
    full["encoder.conv_out.conv.weight"][channels:] = 0
    full["encoder.conv_out.conv.bias"][channels:] = -16
    vae.load_state_dict(full)
    return vae


def reconstruct(vae: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Latents and decoded frames of frames [batch, 3, height, width]."""
    latents = vae.encode(pixels.unsqueeze(2)).latent_dist.mean
    return latents, vae.decode(latents).sample.squeeze(2)


def train(rank: Rank, seconds: float, batch: int) -> None:
    train_frames(rank, "vae", frame_autoencoder, reconstruct, export, seconds, batch)


@torch.no_grad()
def export(frames: AutoencoderKLCogVideoX, clips: np.ndarray, device: torch.device) -> None:
    """Write the video network (fp16) and the linear map latents -> RGB that previews use."""
    from safetensors.torch import save_file

    pixels = to_model(torch.from_numpy(np.array(clips[:, 5])).to(device)).unsqueeze(2)
    with autocast(device):
        latents = torch.cat([frames.encode(p).latent_dist.mean.float() for p in pixels.split(16)])  # pyright: ignore
    vae = inflate(frames.cpu(), float(latents.std()))
    vae.half().save_pretrained(WEIGHTS / "vae")
    rows = (latents * vae.config.scaling_factor).squeeze(2).movedim(1, -1).flatten(0, -2).cpu()  # pyright: ignore
    rows = torch.cat([rows, torch.ones(len(rows), 1)], 1)
    colours = F.avg_pool2d(pixels.squeeze(2), 4).movedim(1, -1).flatten(0, -2).cpu()
    solution = torch.linalg.lstsq(rows, colours).solution
    save_file(
        {"weight": solution[:-1].T.contiguous(), "bias": solution[-1].contiguous()},
        WEIGHTS / "vae/preview.safetensors",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    launch(train, options.processes, options.seconds, options.batch)


if __name__ == "__main__":
    main()
