"""Train the pocket text-to-video UNet of the AnimateDiff kind (diffusers' UNetMotionModel) with its CLIP text encoder.

v-prediction on AnimateDiff's linear noise levels, captions dropped to the empty prompt one time in ten, averaged
weights. As AnimateDiff, first pictures, then motion: early steps see one frame of each clip, then four at their true
places in time, the last ones all sixteen; a frame costs a sixteenth of a clip.
    python -m models.pocket.recipes.animatediff --seconds 2400
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, UNetMotionModel
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from torch import Tensor, nn

from models.common.animatediff.schedule import NOISE_LEVELS
from models.pocket.recipes import clip_text
from models.pocket.recipes.animatediff_vae import CONFIG as VAE_CONFIG
from models.pocket.recipes.animatediff_vae import WEIGHTS
from models.pocket.recipes.attention import MatmulFrameAttention
from models.pocket.recipes.dataset import STATE
from models.pocket.recipes.matrix_conv import MatrixConv, plain_state, use_matrix_convolutions
from models.pocket.recipes.training import (
    Learner,
    Rank,
    Run,
    autocast,
    launch,
    optimizers,
    set_learning_rate,
    trapezoid,
)
from models.pocket.recipes.transformer import DROPPED, Latents, draw_together, stratified_timesteps

FRAMES = 16
CONFIG = {
    "sample_size": 8, "in_channels": VAE_CONFIG["latent_channels"], "out_channels": VAE_CONFIG["latent_channels"],
    "block_out_channels": (64, 96), "layers_per_block": 1, "norm_num_groups": 8,
    "down_block_types": ("DownBlockMotion", "CrossAttnDownBlockMotion"),
    "up_block_types": ("CrossAttnUpBlockMotion", "UpBlockMotion"),
    "cross_attention_dim": clip_text.DIM, "num_attention_heads": 2, "motion_num_attention_heads": 2,
    "motion_max_seq_length": FRAMES, "use_motion_mid_block": False,
}  # fmt: skip
SCHEDULER = {**NOISE_LEVELS, "prediction_type": "v_prediction", "timestep_spacing": "leading"}
DECAY = 0.45
CLIPS_A_STEP = {1: 12, 4: 4, 16: 1}  # times the batch: about the same work a step


class FramePlaces(SinusoidalPositionalEmbedding):
    """Positions in time of frames that were picked from a clip."""

    places: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if self.places is None else x + self.get_buffer("pe")[:, self.places]


class MotionTextToVideo(nn.Module):
    """Text encoder and UNet trained together, as fast as a CPU allows; the same function as diffusers' classes."""

    def __init__(self, tokenizer: Any) -> None:
        super().__init__()
        self.text_encoder = clip_text.build_encoder(tokenizer)
        self.text_encoder.set_attn_implementation("eager")  # the fused kernel's backward pass is slow on a CPU
        self.unet = UNetMotionModel(**CONFIG)
        self.places: list[FramePlaces] = []
        for module in self.unet.modules():
            if isinstance(old := getattr(module, "pos_embed", None), SinusoidalPositionalEmbedding):
                module.pos_embed = FramePlaces(old.get_buffer("pe").shape[-1], FRAMES)  # pyright: ignore[reportArgumentType] -- a module, by another name
                self.places.append(module.pos_embed)
        self.attention = MatmulFrameAttention()
        if not torch.cuda.is_available():
            self.unet.set_attn_processor(self.attention)  # pyright: ignore[reportArgumentType] -- the union lists diffusers' own
        use_matrix_convolutions(self.unet)

    def forward(self, noisy: Tensor, timestep: Tensor, ids: Tensor, places: Tensor) -> Tensor:
        """v [batch, channels, len(places), height, width] for frames that stand at `places` of their clips."""
        self.attention.num_frames = len(places)
        for embedding in self.places:
            embedding.places = places
        words = self.text_encoder(ids).last_hidden_state
        repeated = words.repeat_interleave(len(places), dim=0)
        return self.unet(noisy, timestep, encoder_hidden_states=repeated, return_dict=False)[0]

    def plain_unet(self) -> UNetMotionModel:
        unet = UNetMotionModel(**CONFIG)
        unet.load_state_dict(plain_state(self.unet))
        return unet


class Velocity:
    """The forward process of the scheduler: x_t = sqrt(a) x + sqrt(1-a) e, target v = sqrt(a) e - sqrt(1-a) x."""

    def __init__(self, device: torch.device) -> None:
        scheduler: Any = DDIMScheduler(**SCHEDULER)
        self.alphas = scheduler.alphas_cumprod.float().to(device)

    def __call__(self, latents: Tensor, noise: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
        a = self.alphas[timestep].view(-1, 1, 1, 1, 1)
        return a.sqrt() * latents + (1 - a).sqrt() * noise, a.sqrt() * noise - (1 - a).sqrt() * latents


def frames_seen(progress: float, draw: float) -> int:
    """How many of a clip's frames a step sees; `draw` is uniform in [0, 1)."""
    if progress < 0.2:
        return 1
    if progress < 0.55:
        return 4 if draw < 0.85 else FRAMES
    return FRAMES if draw < 0.8 else 4


def parameter_groups(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(matrices inside the blocks, for Muon; everything else)."""
    kernels = {id(part.weight) for part in model.modules() if isinstance(part, MatrixConv)}
    muon, adamw = [], []
    for name, parameter in model.named_parameters():
        inside = "blocks." in name or "mid_block." in name
        matrix = parameter.ndim == 2 and (
            "to_" in name or ".ff." in name or "proj_" in name or id(parameter) in kernels
        )
        (muon if inside and matrix and "text_encoder" not in name else adamw).append(parameter)
    return muon, adamw


@torch.no_grad()
def evaluate(model: MotionTextToVideo, data: Latents, velocity: Velocity) -> dict[str, float]:
    """v loss on whole held-out clips with fixed noise, for low, middle and high timesteps."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    losses = {"low": [], "mid": [], "high": []}
    places = torch.arange(FRAMES, device=data.rank.device)
    data.order = np.zeros(0, np.int64)
    for index in range(6):
        latents, ids = data.batch(16, rng, 0.0)
        latents = latents.transpose(1, 2)
        name, level = list(losses.items())[index % 3]
        timestep = torch.linspace(20, 320, 16).long().to(latents.device) + {"low": 0, "mid": 330, "high": 660}[name]
        noisy, target = velocity(latents, torch.randn(latents.shape, generator=generator).to(latents), timestep)
        with autocast(latents.device):
            predicted = model(noisy, timestep, ids, places)
        level.append(float((predicted.float() - target).square().mean()))
    means = {f"val_{name}": float(np.mean(level)) for name, level in losses.items()}
    return means | {"val": float(np.mean(list(means.values())))}


def train(rank: Rank, seconds: float, batch: int) -> None:
    torch.manual_seed(0)
    run = Run(STATE / "animatediff", seconds, rank)
    tokenizer = clip_text.build_tokenizer()
    model = MotionTextToVideo(tokenizer).to(rank.device)
    nn.init.zeros_(model.unet.conv_out.weight)
    nn.init.zeros_(model.unet.conv_out.bias)  # pyright: ignore[reportArgumentType]
    muon, adamw = parameter_groups(model)
    both = optimizers(muon, adamw, 3e-3, 1.5e-3)
    learner = Learner(model, both)
    if state := run.resume():
        learner.load(state)
    velocity = Velocity(rank.device)
    data = Latents(("train",), rank, tokenizer, "animatediff")
    test = Latents(("test",), Rank(0, 1, rank.device), tokenizer, "animatediff")
    rng = np.random.default_rng((rank.index, run.step))
    torch.manual_seed(1_000_003 * rank.index + run.step)  # until here all processes agreed; noise must not
    losses: list[float] = []

    def save() -> None:
        run.save(**learner.state())
        with learner.averaged():
            run.note(**evaluate(model, test, velocity))

    while (progress := run.progress) < 1:
        set_learning_rate(both, trapezoid(progress, 0.01, DECAY))
        seen = frames_seen(progress, draw_together(rank))
        size = batch * CLIPS_A_STEP[seen] // rank.world
        places = torch.randperm(FRAMES)[:seen].sort().values.to(rank.device)
        latents, ids = data.batch(size, rng, DROPPED)
        latents = latents[:, places].transpose(1, 2)
        timestep = stratified_timesteps(size, rng).to(rank.device)
        noisy, target = velocity(latents, torch.randn_like(latents), timestep)
        with autocast(rank.device):
            predicted = model(noisy, timestep, ids, places)
        loss = (predicted.float() - target).square().mean()
        number = learner.step(rank, loss)
        run.step, run.samples = run.step + 1, run.samples + size * rank.world
        losses.append(number)
        if run.step in (5, 20, 60) or run.step % 100 == 0:
            run.note(loss=float(np.mean(losses[-100:])), frames=float(seen))
        if run.due():
            save()
    if rank.first:
        save()
        learner.finish()
        export(model, tokenizer)


def export(model: MotionTextToVideo, tokenizer: Any) -> None:
    """Write fp16 weights in diffusers layout."""
    clip_text.save(tokenizer, model.text_encoder, WEIGHTS)
    DDIMScheduler(**SCHEDULER).save_pretrained(WEIGHTS / "scheduler")
    model.plain_unet().half().save_pretrained(WEIGHTS / "unet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2400)
    parser.add_argument("--batch", type=int, default=16, help="whole clips a step; more when a step sees fewer frames")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    launch(train, options.processes, options.seconds, options.batch)


if __name__ == "__main__":
    main()
