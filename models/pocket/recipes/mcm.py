"""Distil the pocket base of the AnimateDiff kind into a few-step student, by MCM's training (models/mcm/train.py).

The video set is deliberately poor (poor_videos.py), the picture set clean renders of other scenes. `plain` is the
baseline: latent consistency distillation of equal length, without motion representation, simulated trajectories or
pictures. Each is one process; on two cores run both at once.
    python -m models.pocket.recipes.mcm mcm --seconds 900
    python -m models.pocket.recipes.mcm plain --seconds 900
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNetMotionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from models.mcm.consistency import NoiseSchedule
from models.mcm.discriminator import ProjectedDiscriminator
from models.mcm.features import EncoderFeatures
from models.mcm.train import Batch, McmTraining, MotionConsistencyTrainer
from models.pocket.recipes import text
from models.pocket.recipes.animatediff import FRAMES
from models.pocket.recipes.animatediff_vae import WEIGHTS as BASE
from models.pocket.recipes.attention import MatmulFrameAttention
from models.pocket.recipes.autoencoder import to_model
from models.pocket.recipes.dataset import STATE, open_clips
from models.pocket.recipes.latents import scaled_encoder
from models.pocket.recipes.poor_videos import poor_copy
from models.pocket.recipes.training import Rank, Run, autocast, launch, set_learning_rate, trapezoid
from models.pocket.world import caption, sample_scene

ADAPTERS = {"mcm": Path("models/pocket/weights/mcm/adapter"), "plain": STATE / "mcm_plain/adapter"}
VIDEOS = 1500  # clips of the poor video set; pictures come from the scenes after them
RANK = 16
GUIDANCE = (2.0, 4.0)  # w of cond + w (cond - uncond), about what the base is sampled with
SHARED = {"rank": RANK, "learning_rate": 8e-5, "discriminator_learning_rate": 1e-3, "guidance": GUIDANCE}
SETTINGS = {
    "mcm": McmTraining(**SHARED, representation_learning_rate=1e-5, adversarial_weight=0.02),
    "plain": McmTraining(**SHARED, representation="raw", simulated_share=0.0, adversarial_weight=0.0),
}


class Base:
    """The networks of the pocket base, frozen, and what the recipes of MCM and CVD ask of them."""

    def __init__(self, device: torch.device) -> None:
        self.tokenizer: Any = CLIPTokenizer.from_pretrained(BASE / "tokenizer")
        self.text_encoder: Any = CLIPTextModel.from_pretrained(BASE / "text_encoder", dtype=torch.float32)
        self.vae: Any = AutoencoderKL.from_pretrained(BASE / "vae", dtype=torch.float32)
        self.scheduler: Any = DDIMScheduler.from_pretrained(BASE / "scheduler")
        self.device = device
        for part in (self.text_encoder, self.vae):
            part.to(device).eval().requires_grad_(False)

    def unet(self) -> UNetMotionModel:
        """A new copy of the UNet, with attention that is fast to train on a CPU."""
        unet: Any = UNetMotionModel.from_pretrained(str(BASE / "unet"), dtype=torch.float32)
        if self.device.type == "cpu":
            unet.set_attn_processor(MatmulFrameAttention(FRAMES))
        return unet.to(self.device)

    @torch.no_grad()
    def read(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        """States [prompts, tokens, dim] and vectors [prompts, dim]."""
        read = self.text_encoder(text.tokenize(self.tokenizer, prompts).to(self.device))
        return read.last_hidden_state, read.pooler_output

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [batch, channels, height, width] -> pictures in -1..1, with gradients."""
        return self.vae.decode(latents / self.vae.config.scaling_factor).sample


class PoorVideos:
    """Latents of the poor video set and clean pictures of other scenes, with fresh captions."""

    def __init__(self, base: Base, count: int = VIDEOS) -> None:
        self.base = base
        self.rng = np.random.default_rng(0)
        self.clips = open_clips("train")
        self.latents = torch.from_numpy(poor_latents(self.clips[:count], base.device))
        self.empty, _ = base.read([""])

    def batch(self, size: int, pictures: int) -> Batch:
        which = self.rng.integers(len(self.latents), size=size)
        shown = self.rng.integers(len(self.latents), len(self.clips), size=pictures)
        frames = np.stack([self.clips[index, self.rng.integers(FRAMES)] for index in shown])
        states, vectors = self.base.read(self._captions(which))
        _, of_pictures = self.base.read(self._captions(shown))
        return Batch(
            latents=self.latents[which].float().transpose(1, 2).to(self.base.device),
            text=states, empty_text=self.empty, caption=vectors,
            pictures=to_model(torch.from_numpy(frames).to(self.base.device)), picture_caption=of_pictures,
        )  # fmt: skip

    def _captions(self, scenes: np.ndarray) -> list[str]:
        return [caption(sample_scene(int(index), "train"), self.rng) for index in scenes]


@torch.no_grad()
def poor_latents(clips: np.ndarray, device: torch.device) -> np.ndarray:
    """float16 [clips, FRAMES, channels, height, width], made once and kept in `.pocket`."""
    path = STATE / "poor.animatediff.npy"
    if path.exists() and len(kept := np.load(path, mmap_mode="r")) == len(clips):
        return np.array(kept)
    encode, latents = scaled_encoder("animatediff", device), []
    for clip in clips:
        with autocast(device):
            latents.append(encode(to_model(torch.from_numpy(poor_copy(clip[:FRAMES])).to(device))).float().cpu())
    made = torch.stack(latents).numpy().astype(np.float16)
    partial = path.with_suffix(f".{torch.randint(1 << 30, ()).item()}.npy")  # two processes may be at it
    np.save(partial, made)
    partial.replace(path)
    return made


def train(rank: Rank, stage: str, seconds: float, batch: int) -> None:
    torch.manual_seed(0)
    base = Base(rank.device)
    videos = PoorVideos(base)
    run = Run(STATE / f"mcm_{stage}", seconds, rank)
    features = EncoderFeatures(base.vae)
    discriminator = ProjectedDiscriminator(
        features.channels, base.text_encoder.config.hidden_size, range(len(features.channels))
    ).to(rank.device)
    generator = torch.Generator().manual_seed(0)
    trainer = MotionConsistencyTrainer(
        base.unet(), NoiseSchedule.of(base.scheduler), base.decode, features, discriminator, generator, SETTINGS[stage]
    )
    optimizers = [trainer.optimizer, trainer.discriminator_optimizer]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    if state := run.resume():
        trainer.load_state_dict(state["trainer"])
    videos.rng = np.random.default_rng(run.step)
    generator.manual_seed(1 + run.step)
    losses: list[dict[str, float]] = []
    while (progress := run.progress) < 1:
        set_learning_rate(optimizers, trapezoid(progress, 0.03, 0.5))
        with autocast(rank.device):
            losses.append(trainer.step(videos.batch(batch, 2 * batch)))
        run.step, run.samples = run.step + 1, run.samples + batch
        if run.step in (3, 10, 30) or run.step % 50 == 0:
            run.note(**{name: float(np.mean([loss[name] for loss in losses[-50:]])) for name in losses[-1]})
        if run.due():
            run.save(trainer=trainer.state_dict())
    run.save(trainer=trainer.state_dict())
    export(trainer, stage, run)


def export(trainer: MotionConsistencyTrainer, stage: str, run: Run) -> None:
    """The adapter in the released layout."""
    folder = ADAPTERS[stage]
    trainer.adapter.half().save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)  # peft's empty model card
    (folder / "training.json").write_text(json.dumps({"recipe": f"mcm {stage}", "clips": run.samples}) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=tuple(SETTINGS))
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    launch(train, 1, options.stage, options.seconds, options.batch)


if __name__ == "__main__":
    main()
