"""Teach the pocket video VAE's decoder to finish what the transformer draws.

A token of the transformer paints 8 x 8 pixels of two frames, and a small network leaves the seams between tokens
frayed. So clips of training are noised part of the way and drawn again by the transformer and its own sampler, and the
decoder learns to give the clip's true frames for them; one piece in four has the encoder's own latents, so that it
keeps to those too (docs/evidence.md: 4 to 6 dB are lost there). The encoder is not touched: latents, transformers and
LoRA stay valid. A decoder that does the last of the denoising: LTX-Video, arXiv:2501.00103.
    python -m models.pocket.recipes.decoder redraw --clips 1500
    python -m models.pocket.recipes.decoder train --seconds 1200
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXCausalConv3d
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer, T5EncoderModel

from models.common.cogvideox.prompts import encode_prompts
from models.common.cogvideox.rotary import rotary_for
from models.pocket.recipes.autoencoder import to_model
from models.pocket.recipes.dataset import STATE, open_clips
from models.pocket.recipes.latents import open_latents
from models.pocket.recipes.training import (
    Learner,
    Rank,
    Run,
    autocast,
    launch,
    optimizers,
    psnr,
    set_learning_rate,
    trapezoid,
)
from models.pocket.recipes.vae import WEIGHTS
from models.pocket.world import caption, sample_scene
from models.repvideo.sampler import NoiseTable, make_sampler
from models.repvideo.transformer import RepVideoTransformer3DModel

TRANSFORMER = Path("models/pocket/weights/repvideo/transformer_off")
STEPS, GUIDANCE = 25, 3.0  # RepVideo's preset has this guidance, and 16 steps
FIRST, LAST = 12, 19  # of the steps: where a clip's redrawing begins; the earlier, the less of it is left
TEST_CLIPS = 64
CHUNK, PIECE = 2, 6  # latent frames that the VAE decodes at a time, and of a piece in training
CLEAN = 0.25


def redrawn_path(split: str) -> Path:
    return STATE / f"{split}.redrawn.npy"


class Redrawer:
    """The transformer with its sampler, begun in the middle."""

    def __init__(self, device: torch.device) -> None:
        self.network: Any = RepVideoTransformer3DModel.from_pretrained(TRANSFORMER, torch_dtype=torch.float32)
        self.network.to(device).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(WEIGHTS / "tokenizer")
        self.text_encoder = T5EncoderModel.from_pretrained(WEIGHTS / "text_encoder", torch_dtype=torch.float32)
        self.text_encoder.to(device)  # pyright: ignore[reportArgumentType]
        self.table, self.device = NoiseTable.make(snr_shift=1.0), device

    @torch.no_grad()
    def __call__(self, latents: Tensor, words: list[str], first: int, generator: torch.Generator) -> Tensor:
        """Latents [batch, frames, channels, height, width] as the transformer would have finished them from step
        `first` on."""
        sampler = make_sampler("dpm", self.table, STEPS)
        length = self.network.config.max_text_seq_length
        text = encode_prompts(self.tokenizer, self.text_encoder, [""] * len(words) + words, length)
        _, frames, _, height, width = latents.shape
        rotary = rotary_for(self.network.config, frames, height, width, self.device)

        def draw() -> Tensor:
            return torch.randn(latents.shape, generator=generator).to(self.device)

        level = float(sampler.levels[first])
        noisy = level * latents + (1 - level**2) ** 0.5 * draw()
        for index in range(first, STEPS):
            timestep = torch.full((len(text),), float(sampler.timesteps[index]), device=self.device)
            with autocast(self.device):
                both = self.network(
                    hidden_states=torch.cat([noisy, noisy]), encoder_hidden_states=text, timestep=timestep,
                    image_rotary_emb=rotary, feature_cache=False, return_dict=False,
                )[0].float()  # fmt: skip
            unconditional, conditional = both.chunk(2)
            velocity = unconditional + GUIDANCE * (conditional - unconditional)
            noisy = sampler.step(index, noisy, sampler.denoised(index, noisy, velocity), draw)
        return noisy


def redraw(rank: Rank, split: str, batch: int) -> None:
    """Fill this process's share of the file; what is done is kept, a row of zeros is not done."""
    latents, redrawn = open_latents(split), np.load(redrawn_path(split), mmap_mode="r+")
    redrawer = Redrawer(rank.device)
    mine = [index for index in range(rank.index, len(redrawn), rank.world) if not redrawn[index].any()]
    start = time.monotonic()
    for done in range(0, len(mine), batch):
        rows = mine[done : done + batch]
        rng, generator = np.random.default_rng(rows[0]), torch.Generator().manual_seed(rows[0])
        words = [caption(sample_scene(index, split), rng) for index in rows]
        clean = torch.from_numpy(np.array(latents[rows])).float().to(rank.device)
        made = redrawer(clean, words, int(rng.integers(FIRST, LAST + 1)), generator)
        redrawn[rows] = made.cpu().numpy().astype(np.float16)
        if rank.first and done // batch % 5 == 0:
            rate = rank.world * (done + len(rows)) / (time.monotonic() - start)
            print(f"{split}: {done + len(rows)}/{len(mine)} of this process, {rate:.2f} clips/s", flush=True)


class Pairs:
    """Pieces of redrawn clips: the transformer's latents or the encoder's, and the true frames."""

    def __init__(self, split: str) -> None:
        self.redrawn = np.load(redrawn_path(split), mmap_mode="r")
        self.clean, self.clips = open_latents(split), open_clips(split)
        self.done = np.flatnonzero([clip.any() for clip in self.redrawn[:, 0]])

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
        """Latents [size, PIECE, channels, height, width], a quarter of them the encoder's; frames [size, 3, PIECE,
        height, width] in [-1, 1]."""
        latents, frames = [], []
        for clip in rng.choice(self.done, size):
            source = self.clean if rng.random() < CLEAN else self.redrawn
            start = CHUNK * rng.integers((self.redrawn.shape[1] - PIECE) // CHUNK + 1)
            latents.append(source[clip, start : start + PIECE])
            frames.append(self.clips[clip, start : start + PIECE])
        return torch.from_numpy(np.stack(latents)).float(), _pixels(np.stack(frames))


def _pixels(frames: np.ndarray) -> Tensor:
    """uint8 [batch, frames, height, width, 3] -> [batch, 3, frames, height, width] in [-1, 1]."""
    return to_model(torch.from_numpy(frames)).transpose(1, 2)


class MatrixConv3d(nn.Module):
    """A 3D convolution that keeps its kernel as a matrix, the shape Muon's orthogonal updates need."""

    def __init__(self, source: nn.Conv3d) -> None:
        super().__init__()
        self.kernel, self.shape = source.kernel_size, source.weight.shape
        self.weight = nn.Parameter(source.weight.detach().flatten(1).clone())
        self.bias = nn.Parameter(source.bias.detach().clone())  # pyright: ignore[reportOptionalMemberAccess]
        self.padding = source.padding

    def forward(self, inputs: Tensor) -> Tensor:
        return F.conv3d(inputs, self.weight.view(self.shape), self.bias, padding=self.padding)  # pyright: ignore


class Decoder(nn.Module):
    """The saved VAE, of which only the decoder learns. With all three taps in time it may look at past frames."""

    def __init__(self, folder: Path = WEIGHTS / "vae") -> None:
        super().__init__()
        self.vae: Any = AutoencoderKLCogVideoX.from_pretrained(folder, torch_dtype=torch.float32)
        self.vae.encoder.requires_grad_(False)
        for module in self.vae.decoder.modules():
            if isinstance(module, CogVideoXCausalConv3d):
                module.conv = MatrixConv3d(module.conv)  # pyright: ignore[reportAttributeAccessIssue]

    def forward(self, latents: Tensor) -> Tensor:
        """Scaled latents [batch, frames, channels, height, width] -> frames [batch, 3, frames, height, width]."""
        return self.vae.decode(latents.transpose(1, 2) / self.vae.config.scaling_factor).sample

    @property
    def matrices(self) -> list[nn.Parameter]:
        """Kernels wide enough to gain from Muon."""
        found = (part for part in self.modules() if isinstance(part, MatrixConv3d))
        return [part.weight for part in found if part.kernel[-1] == 3 and min(part.shape[:2]) >= 16]


def difference(decoded: Tensor, frames: Tensor) -> Tensor:
    """Mean absolute error of pixels and of their steps to the right and downwards, which edges are made of."""
    steps = [(decoded.diff(dim=axis) - frames.diff(dim=axis)).abs().mean() for axis in (-1, -2)]
    return (decoded - frames).abs().mean() + steps[0] + steps[1] + F.mse_loss(decoded, frames)


@torch.no_grad()
def evaluate(decoder: Decoder, test: Pairs, device: torch.device) -> dict[str, float]:
    """PSNR in dB and error in edges of held-out pieces, from the encoder's latents and from the transformer's."""
    found = {}
    for name, source in (("clean", test.clean), ("redrawn", test.redrawn)):
        scores, edges = [], []
        for start in range(0, len(test.done), 8):
            rows = test.done[start : start + 8]
            frames = _pixels(np.array(test.clips[rows, 6 : 6 + PIECE])).to(device)
            with autocast(device):
                decoded = decoder(torch.from_numpy(np.array(source[rows, 6 : 6 + PIECE])).float().to(device)).float()
            scores.append(psnr(decoded, frames))
            edges.append((decoded.diff(dim=-1) - frames.diff(dim=-1)).abs().flatten(1).mean(1))
        found |= {f"psnr_{name}": float(torch.cat(scores).mean()), f"edges_{name}": float(torch.cat(edges).mean())}
    return found


def train(rank: Rank, seconds: float, batch: int) -> None:
    torch.manual_seed(0)
    run = Run(STATE / "decoder", seconds, rank)
    decoder = Decoder().to(rank.device)
    ids = {id(matrix) for matrix in decoder.matrices}
    rest = [p for p in decoder.parameters() if p.requires_grad and id(p) not in ids]
    both = optimizers(decoder.matrices, rest, 4e-3, 1e-3)
    learner = Learner(decoder, both)
    if state := run.resume():
        learner.load(state)
    data, test = Pairs("train"), Pairs("test")
    rng = np.random.default_rng((rank.index, run.step))
    if rank.first and not run.step:
        run.note(**evaluate(decoder, test, rank.device))
    losses: list[float] = []

    def save() -> None:
        run.save(**learner.state())
        with learner.averaged():
            run.note(**evaluate(decoder, test, rank.device))

    while (progress := run.progress) < 1:
        set_learning_rate(both, trapezoid(progress, 0.02, 0.5))
        latents, frames = data.batch(rng, batch // rank.world)
        with autocast(rank.device):
            decoded = decoder(latents.to(rank.device))
        losses.append(learner.step(rank, difference(decoded.float(), frames.to(rank.device))))
        run.step, run.samples = run.step + 1, run.samples + batch
        if run.step in (20, 100) or run.step % 400 == 0:
            run.note(loss=float(np.mean(losses[-400:])))
        if run.due():
            save()
    if rank.first:
        save()
        learner.finish()
        export(decoder)


@torch.no_grad()
def export(decoder: Decoder, folder: Path = WEIGHTS / "vae") -> None:
    """The saved VAE with this decoder, fp16; its encoder to the bit as it was."""
    saved: Any = AutoencoderKLCogVideoX.from_pretrained(folder, torch_dtype=torch.float16)
    state = saved.state_dict()
    for name, value in decoder.vae.state_dict().items():
        if name.startswith("decoder."):
            state[name].copy_(value.view(state[name].shape))
    file = folder / "diffusion_pytorch_model.safetensors"  # its config stays
    save_file(state, file, metadata={"format": "pt"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("redraw", "train"))
    parser.add_argument("--clips", type=int, default=1500)
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    if options.stage == "train":
        launch(train, options.processes, options.seconds, options.batch)
        return
    for split, count in (("test", TEST_CLIPS), ("train", options.clips)):
        shape = (count, *open_latents(split).shape[1:])
        if not redrawn_path(split).exists() or np.load(redrawn_path(split), mmap_mode="r").shape != shape:
            np.lib.format.open_memmap(redrawn_path(split), "w+", np.float16, shape).flush()
        launch(redraw, options.processes, split, 8)


if __name__ == "__main__":
    main()
