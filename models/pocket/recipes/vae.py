"""Train the pocket AutoencoderKLCogVideoX: frame by frame, then inflated to video (temporal ratio 1).

A causal 3-tap convolution whose two past taps are zero is a per-frame convolution, so the network is trained on
single frames with plain 2D convolutions (`FrameConv`) and saved as the full 3D one.
    python -m models.pocket.recipes.vae --seconds 1200
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXCausalConv3d, CogVideoXSpatialNorm3D
from torch import Tensor, nn
from torch.nn import functional as F

from models.pocket.recipes.dataset import STATE, open_clips
from models.pocket.recipes.training import (
    AveragedWeights,
    Rank,
    Run,
    autocast,
    launch,
    optimizers,
    psnr,
    set_learning_rate,
    trapezoid,
)
from models.pocket.world import sample_scene

WEIGHTS = Path("models/pocket/weights/cogvideox")
CONFIG = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 8, "block_out_channels": (16, 32, 64),
    "layers_per_block": 1,
    "down_block_types": ("CogVideoXDownBlock3D",) * 3, "up_block_types": ("CogVideoXUpBlock3D",) * 3,
    "norm_num_groups": 8, "temporal_compression_ratio": 1, "sample_height": 64, "sample_width": 64,
    "use_quant_conv": False, "use_post_quant_conv": False,
}  # fmt: skip


class FrameConv(nn.Module):
    """The current-frame tap of a causal 3D convolution, its kernel kept as a matrix [out, in * 9] for Muon."""

    def __init__(self, source: CogVideoXCausalConv3d) -> None:
        super().__init__()
        conv = source.conv
        self.kernel = conv.kernel_size[1]
        self.channels = conv.in_channels
        plain = nn.Conv2d(conv.in_channels, conv.out_channels, self.kernel)
        self.weight = nn.Parameter(plain.weight.detach().flatten(1).clone())
        self.bias = nn.Parameter(plain.bias.detach().clone())  # pyright: ignore[reportOptionalMemberAccess]

    def forward(self, inputs: Tensor, conv_cache: Tensor | None = None) -> tuple[Tensor, None]:
        weight = self.weight.view(-1, self.channels, self.kernel, self.kernel)
        frames = inputs.transpose(1, 2).flatten(0, 1)
        out = F.conv2d(frames, weight, self.bias, padding=self.kernel // 2)
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
            with torch.no_grad():
                module.weight.mul_(0.1)
                taps = nn.init.orthogonal_(torch.empty(module.out_channels, module.in_channels * 4))
                module.weight[:, :, :2, :2] += taps.view(module.out_channels, module.in_channels, 2, 2)
        elif isinstance(module, nn.Conv2d) and "upsamplers" in name:
            with torch.no_grad():
                module.weight.mul_(0.5)
                module.weight[:, :, 1, 1] += 0.7 * torch.eye(module.out_channels, module.in_channels)
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


def frames_of(clips: np.ndarray, rng: np.random.Generator, count: int, device: torch.device) -> Tensor:
    """Random frames [count, 3, 1, height, width] in [-1, 1], half of them mirrored."""
    which, when = rng.integers(len(clips), size=count), rng.integers(clips.shape[1], size=count)
    picked = np.stack([clips[i, t, :, :: (-1 if rng.random() < 0.5 else 1)] for i, t in zip(which, when, strict=True)])
    return to_model(torch.from_numpy(picked).to(device)).unsqueeze(2)


def to_model(frames: Tensor) -> Tensor:
    """uint8 [..., height, width, 3] -> float [..., 3, height, width] in [-1, 1]."""
    return frames.movedim(-1, -3).float() / 127.5 - 1


@torch.no_grad()
def evaluate(vae: nn.Module, clips: np.ndarray, people: np.ndarray, device: torch.device) -> dict[str, float]:
    """Mean PSNR of a few held-out frames, solids and people apart."""
    scores = []
    for start in range(0, len(clips), 16):
        pixels = to_model(torch.from_numpy(np.asarray(clips[start : start + 16, 7])).to(device)).unsqueeze(2)
        with autocast(device):
            scores.append(psnr(vae.decode(vae.encode(pixels).latent_dist.mean).sample, pixels))  # pyright: ignore
    scores = torch.cat(scores).cpu().numpy()
    return {"psnr_solids": float(scores[~people].mean()), "psnr_people": float(scores[people].mean())}


def train(rank: Rank, seconds: float, batch: int) -> None:
    torch.manual_seed(0)
    run = Run(STATE / "vae", seconds, rank)
    vae = frame_autoencoder().to(rank.device)  # pyright: ignore[reportArgumentType] -- diffusers' decorator keeps self
    muon = [
        m.weight
        for n, m in vae.named_modules()
        if isinstance(m, FrameConv) and m.kernel == 3 and min(m.weight.shape) >= 16
    ]
    ids = {id(p) for p in muon}
    both = optimizers(muon, [p for p in vae.parameters() if id(p) not in ids], 0.013, 4e-3)
    average = AveragedWeights(vae, 0.998)
    if state := run.resume():
        vae.load_state_dict(state["vae"])
        average.values, average.step = state["average"], state["average_step"]
        for optimizer, saved in zip(both, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
    rng = np.random.default_rng((rank.index, run.step))
    clips, test = open_clips("train"), open_clips("test")[:128]
    people = np.array([sample_scene(i, "test").person is not None for i in range(len(test))])
    losses = []
    while (progress := run.progress) < 1:
        if run.step % 500 == 0:  # rendering may still be going on beside
            clips = open_clips("train")
        set_learning_rate(both, trapezoid(progress, 0.015, 0.45))
        pixels = frames_of(clips, rng, batch // rank.world, rank.device)
        with autocast(rank.device):
            posterior = vae.encode(pixels).latent_dist  # pyright: ignore[reportAttributeAccessIssue]
            decoded = vae.decode(posterior.mean).sample  # pyright: ignore[reportAttributeAccessIssue]
        difference = decoded.float() - pixels
        loss = difference.abs().mean() + difference.square().mean() + 1e-4 * posterior.mean.float().square().mean()
        loss.backward()
        rank.average_gradients(vae.parameters())
        nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        for optimizer in both:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        average.update(vae)
        run.step, run.samples = run.step + 1, run.samples + batch
        losses.append(float(loss.detach()))
        if run.step in (20, 100) or run.step % 400 == 0:
            run.note(loss=float(np.mean(losses[-400:])))
        if run.due():
            run.save(vae=vae.state_dict(), average=average.values, average_step=average.step,
                     optimizers=[o.state_dict() for o in both])  # fmt: skip
            shadow = frame_autoencoder().to(rank.device)  # pyright: ignore[reportArgumentType] -- diffusers' decorator keeps self
            average.copy_to(shadow)
            run.note(**evaluate(shadow, test, people, rank.device))
    if rank.first:
        average.copy_to(vae)
        run.note(**evaluate(vae, test, people, rank.device))
        run.save(vae=vae.state_dict(), average=average.values, average_step=average.step,
                 optimizers=[o.state_dict() for o in both])  # fmt: skip
        export(vae, test, rank.device)


@torch.no_grad()
def export(frames: AutoencoderKLCogVideoX, clips: np.ndarray, device: torch.device) -> None:
    """Write the video network (fp16) and the linear map latents -> RGB that previews use."""
    from safetensors.torch import save_file

    pixels = to_model(torch.from_numpy(np.asarray(clips[:, 5])).to(device)).unsqueeze(2)
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
