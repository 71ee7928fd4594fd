"""Train the pocket text-to-video transformer with CogVideoX's objective, then RepVideo's continuation of it.

v-prediction on a zero-terminal-SNR schedule, captions dropped to the empty prompt one time in ten, averaged weights.
First a network whose tokens span four frames (half the tokens, a third of the cost); its early steps see one group
of frames (a fifth of the tokens, at its true place in the clip), later ones two groups or whole clips, the last ones
whole clips only: tokens left out cost nothing and a clip's groups say much the same. Then the base: its tokens span
two frames, all but its first and last layer begin as the coarse network's, and most of its steps see eight frames, the
last ones whole clips. Where the training state is gone it goes on from the repository's weights.
Clips of solids in colours without a name are among them: with the six named ones alone some combinations of colour,
shape and motion are never seen, and a purple ball that bounces may come out as a box.
    python -m models.pocket.recipes.transformer coarse --seconds 7000
    python -m models.pocket.recipes.transformer base --seconds 4200
    python -m models.pocket.recipes.transformer base --from-weights --seconds 2700
    python -m models.pocket.recipes.transformer repvideo --seconds 900      the base continued with the feature cache
    python -m models.pocket.recipes.transformer repvideo_off --seconds 900  the base continued as long without it
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from diffusers import CogVideoXDDIMScheduler
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from models.pocket.recipes import text
from models.pocket.recipes.attention import MatmulAttention
from models.pocket.recipes.dataset import STATE, TINTED, scene_of
from models.pocket.recipes.latents import open_latents
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
from models.pocket.recipes.vae import WEIGHTS
from models.pocket.world import caption
from models.repvideo.transformer import RepVideoTransformer3DModel

FRAMES = 20
GROUP, COARSE_GROUP = 2, 4  # frames a token spans
CONFIG = {
    "num_attention_heads": 3, "attention_head_dim": 64, "in_channels": 8, "out_channels": 8, "num_layers": 6,
    "time_embed_dim": 64, "text_embed_dim": text.DIM, "max_text_seq_length": text.MAX_TOKENS,
    "sample_width": 16, "sample_height": 16, "sample_frames": FRAMES, "patch_size": 2, "patch_size_t": GROUP,
    "temporal_compression_ratio": 1, "spatial_interpolation_scale": 1.0,
    "use_rotary_positional_embeddings": True, "use_learned_positional_embeddings": True,
    "feature_group_size": 6, "norm_out_eps": 1e-5,
}  # fmt: skip
SCHEDULER = {"snr_shift_scale": 1.0, "prediction_type": "v_prediction", "rescale_betas_zero_snr": True,
             "timestep_spacing": "trailing", "set_alpha_to_one": True, "clip_sample": False}  # fmt: skip
DROPPED = 0.1
DECAY = 0.35  # share of the coarse network's time in which the learning rate falls
LEARNING_RATE = {"coarse": 1.0, "base": 0.5, "repvideo": 0.25, "repvideo_off": 0.25}
FOLDERS = {
    "coarse": STATE / "coarse/transformer",
    "repvideo": Path("models/pocket/weights/repvideo/transformer"),
    "repvideo_off": Path("models/pocket/weights/repvideo/transformer_off"),
}
BEGINS_AS = {"base": "coarse", "repvideo": "base", "repvideo_off": "base"}
SEEN, WHOLE, SOMETIMES_WHOLE = 8, 0.25, 0.1  # frames in a step of the base; shares of time and of steps that see all


class TextToVideo(nn.Module):
    """Text encoder and transformer trained together; `forward` predicts v for some groups of frames of each clip."""

    cos: Tensor
    sin: Tensor

    def __init__(self, vocabulary_size: int, frames_per_token: int = GROUP) -> None:
        super().__init__()
        self.frames_per_token = frames_per_token
        self.text_encoder = text.build_encoder(vocabulary_size)
        self.transformer = RepVideoTransformer3DModel(**{**CONFIG, "patch_size_t": frames_per_token})
        side = CONFIG["sample_height"] // CONFIG["patch_size"]
        self.tokens_per_group = side * side
        cos, sin = get_3d_rotary_pos_embed(
            CONFIG["attention_head_dim"],
            None,
            (side, side),
            FRAMES // frames_per_token,
            grid_type="slice",
            max_size=(side, side),
        )  # pyright: ignore[reportGeneralTypeIssues]
        self.register_buffer("cos", cos.float(), persistent=False)
        self.register_buffer("sin", sin.float(), persistent=False)
        if not torch.cuda.is_available():
            self.transformer.set_attn_processor(MatmulAttention())  # pyright: ignore[reportArgumentType] -- the union lists diffusers' own

    def forward(self, noisy: Tensor, timestep: Tensor, ids: Tensor, groups: Tensor, feature_cache: bool) -> Tensor:
        """Patches of v [batch, len(groups) * tokens, patch values] for noisy latents
        [batch, len(groups) * frames_per_token, channels, height, width] that stand at `groups` of the clip."""
        network = self.transformer
        words = self.text_encoder(ids).last_hidden_state
        rows = (
            groups[:, None] * self.tokens_per_group + torch.arange(self.tokens_per_group, device=groups.device)
        ).flatten()
        embed = network.patch_embed
        table = embed.get_buffer("pos_embedding")[:, text.MAX_TOKENS + rows]
        video = embed.proj(patchify(noisy, self.frames_per_token)) + table.to(noisy.dtype)
        streams = (embed.text_proj(words), video)
        rotary = (self.cos[rows], self.sin[rows])
        emb = network.embed_time(timestep, noisy.dtype)
        return network.proj_out(network.run_blocks(streams, emb, rotary, feature_cache=feature_cache))


def patchify(latents: Tensor, frames_per_token: int = GROUP) -> Tensor:
    """[batch, frames, channels, height, width] -> [batch, tokens, patch values], in the order of the network's output
    (channels, frames, rows, columns)."""
    p, t = CONFIG["patch_size"], frames_per_token
    b, f, c, h, w = latents.shape
    grid = latents.reshape(b, f // t, t, c, h // p, p, w // p, p)
    return grid.permute(0, 1, 4, 6, 3, 2, 5, 7).flatten(4).flatten(1, 3)


def finer(average: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Averaged weights of a network with coarse tokens, for tokens of GROUP frames: a frame is read with the sum of
    the layers of the two it stands for, 0.7 times as loudly, and drawn with their mean."""
    weight, area = average["transformer.patch_embed.proj.weight"], CONFIG["patch_size"] ** 2
    read = weight.view(len(weight), -1, 2, GROUP, area).sum(2).flatten(1)
    drawn = {
        name: average[name].unflatten(0, (CONFIG["out_channels"], 2, GROUP, area)).mean(1).flatten(0, 2)
        for name in ("transformer.proj_out.weight", "transformer.proj_out.bias")
    }
    return {**average, "transformer.patch_embed.proj.weight": 0.7 * read, **drawn}


class Clips:
    """Latents of the clips of all `splits` in memory as float16, their scenes, and which come next."""

    def __init__(
        self, splits: Sequence[str], rank: Rank, tokenizer: PreTrainedTokenizerBase, kind: str = "cogvideox"
    ) -> None:
        """What bounces is by far the hardest to draw: its clips come three times an epoch."""
        latents = [open_latents(split, kind=kind) for split in splits]
        self.clips = torch.from_numpy(np.concatenate([clips[rank.index :: rank.world] for clips in latents]))
        self.scenes = [
            scene_of(split, index)
            for split, clips in zip(splits, latents, strict=True)
            for index in range(rank.index, len(clips), rank.world)
        ]
        bounces = np.array([any(solid.motion == "bounces" for solid in scene.solids) for scene in self.scenes])
        self.epoch = np.repeat(np.arange(len(bounces)), np.where(bounces, 3, 1))
        self.rank, self.tokenizer = rank, tokenizer
        self.order = np.zeros(0, np.int64)

    def draw(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """The next clips of this epoch, or the first of a new one."""
        if len(self.order) < size:
            self.order = rng.permutation(self.epoch)
        chosen, self.order = self.order[:size], self.order[size:]
        return chosen


class Latents(Clips):
    """Batches of latents with freshly worded captions."""

    def batch(self, size: int, rng: np.random.Generator, dropped: float) -> tuple[Tensor, Tensor]:
        """Latents [batch, frames, channels, height, width] and token ids [batch, tokens]."""
        chosen = self.draw(size, rng)
        words = ["" if rng.random() < dropped else caption(self.scenes[i], rng) for i in chosen]
        ids = text.tokenize(self.tokenizer, words)
        return self.clips[chosen].to(self.rank.device).float(), ids.to(self.rank.device)


class Noise:
    """CogVideoX's forward process: x_t = sqrt(a) x + sqrt(1-a) e, target v = sqrt(a) e - sqrt(1-a) x."""

    def __init__(self, scheduler: CogVideoXDDIMScheduler, device: torch.device) -> None:
        self.alphas = scheduler.alphas_cumprod.float().to(device)

    def __call__(self, latents: Tensor, noise: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
        a = self.alphas[timestep].view(-1, 1, 1, 1, 1)
        return a.sqrt() * latents + (1 - a).sqrt() * noise, a.sqrt() * noise - (1 - a).sqrt() * latents


def stratified_timesteps(size: int, rng: np.random.Generator) -> Tensor:
    """One timestep from each of `size` equal parts of 0..999, in random order."""
    return torch.from_numpy(((rng.permutation(size) + rng.random(size)) / size * 1000).astype(np.int64))


def groups_seen(stage: str, progress: float, draw: float) -> int:
    """How many of a clip's groups a step sees; `draw` is uniform in [0, 1)."""
    if stage == "coarse":
        if progress < 0.19:
            return 1
        return 2 if progress < 1 - DECAY and draw < 0.6 else FRAMES // COARSE_GROUP
    partly = stage == "base" and progress < 1 - WHOLE and draw >= SOMETIMES_WHOLE
    return (SEEN if partly else FRAMES) // GROUP


def draw_together(rank: Rank) -> float:
    """A uniform number, the same in every process."""
    draw = torch.rand(1)
    if rank.world > 1:
        dist.broadcast(draw, 0)
    return float(draw)


@torch.no_grad()
def evaluate(model: TextToVideo, data: Latents, noise: Noise, feature_cache: bool) -> dict[str, float]:
    """v loss on held-out clips with fixed noise, for low, middle and high timesteps."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    losses = {"low": [], "mid": [], "high": []}
    groups = torch.arange(FRAMES // model.frames_per_token, device=data.rank.device)
    data.order = np.zeros(0, np.int64)
    for index in range(6):
        latents, ids = data.batch(16, rng, 0.0)
        name, level = list(losses.items())[index % 3]
        timestep = torch.linspace(20, 320, 16).long().to(latents.device) + {"low": 0, "mid": 330, "high": 660}[name]
        draw = torch.randn(latents.shape, generator=generator).to(latents.device)
        noisy, target = noise(latents, draw, timestep)
        with autocast(latents.device):
            predicted = model(noisy, timestep, ids, groups, feature_cache)
        level.append(float((predicted.float() - patchify(target, model.frames_per_token)).square().mean()))
    means = {f"val_{name}": float(np.mean(level)) for name, level in losses.items()}
    return means | {"val": float(np.mean(list(means.values())))}


def beginning(stage: str, from_weights: bool, device: torch.device) -> dict[str, Tensor]:
    """The weights that a stage begins with: the averaged ones of the stage before it, or the repository's (RepVideo's
    without the cache, which are nearest to the base)."""
    if from_weights:
        found = load_file(FOLDERS["repvideo_off"] / "diffusion_pytorch_model.safetensors", device=str(device))
        words = load_file(WEIGHTS / "text_encoder/model.safetensors", device=str(device))
        named = {f"transformer.{name}": tensor for name, tensor in found.items()}
        return named | {f"text_encoder.{name}": tensor for name, tensor in words.items()}
    path = STATE / BEGINS_AS[stage] / "state.pt"
    average = torch.load(path, map_location=device, weights_only=True)["average"]
    return finer(average) if stage == "base" else average


def train(rank: Rank, stage: str, seconds: float, batch: int, from_weights: bool = False) -> None:
    torch.manual_seed(0)
    run = Run(STATE / stage, seconds, rank)
    feature_cache, coarse = stage == "repvideo", stage == "coarse"
    group = COARSE_GROUP if coarse else GROUP
    tokenizer = text.build_tokenizer()
    model = TextToVideo(len(tokenizer), group).to(rank.device)
    if coarse:
        nn.init.zeros_(model.transformer.proj_out.weight)
        nn.init.zeros_(model.transformer.proj_out.bias)
    model.text_encoder.requires_grad_(coarse)  # one text encoder serves all of them
    muon, adamw, gates = [], [], [model.transformer.learnable_gating]
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim == 2 and "transformer_blocks" in name and (".attn1." in name or ".ff." in name)
        if parameter is not gates[0] and parameter.requires_grad:
            (muon if matrix else adamw).append(parameter)
    lr = LEARNING_RATE[stage]
    both = optimizers(muon, adamw, 2e-3 * lr, 1e-3 * lr)
    if feature_cache:  # a handful of scalars that start at zero and have little time: a larger step
        both += optimizers([], gates, 0.0, 5e-3)
    learner = Learner(model, both)
    if state := run.resume():
        learner.load(state)
    elif not coarse:
        model.load_state_dict(beginning(stage, from_weights, rank.device), strict=False)  # all but buffers
        nn.init.constant_(model.transformer.learnable_gating, 0.0)
        learner = Learner(model, both)
        assert learner.average is not None
        learner.average.step = 500
    noise = Noise(CogVideoXDDIMScheduler(**SCHEDULER), rank.device)
    data, test = Latents(("train", TINTED), rank, tokenizer), Latents(("test",), rank, tokenizer)
    rng = np.random.default_rng((rank.index, run.step))
    torch.manual_seed(1_000_003 * rank.index + run.step)  # until here all processes agreed; noise must not
    everything = torch.arange(FRAMES // group, device=rank.device)
    losses: list[float] = []

    def save() -> None:
        run.save(**learner.state())
        with learner.averaged():
            run.note(**evaluate(model, test, noise, feature_cache))

    while (progress := run.progress) < 1:
        set_learning_rate(both, trapezoid(progress, 0.01, DECAY) if coarse else trapezoid(progress, 0.05, 0.9))
        seen = groups_seen(stage, progress, draw_together(rank))
        size = (batch if seen == len(everything) else 2 * batch) // rank.world
        groups = everything[torch.randperm(len(everything))[:seen].sort().values]
        latents, ids = data.batch(size, rng, DROPPED)
        latents = latents.unflatten(1, (-1, group))[:, groups].flatten(1, 2)
        timestep = stratified_timesteps(size, rng).to(rank.device)
        noisy, target = noise(latents, torch.randn_like(latents), timestep)
        with autocast(rank.device):
            predicted = model(noisy, timestep, ids, groups, feature_cache)
        loss = (predicted.float() - patchify(target, group)).square().mean()
        number = learner.step(rank, loss)
        run.step, run.samples = run.step + 1, run.samples + size * rank.world
        losses.append(number)
        if run.step in (5, 20, 60) or run.step % 100 == 0:
            run.note(loss=float(np.mean(losses[-100:])), groups=float(seen))
        if run.due():
            save()
    if rank.first:
        save()
        learner.finish()
        if stage in FOLDERS:
            export(model, tokenizer, stage)


def export(model: TextToVideo, tokenizer: text.T5Tokenizer, stage: str) -> None:
    """Write fp16 weights in diffusers layout; the text encoder is the coarse network's and stays as it is after it."""
    if stage == "coarse":
        text.save(tokenizer, model.text_encoder, WEIGHTS)
        CogVideoXDDIMScheduler(**SCHEDULER).save_pretrained(WEIGHTS / "scheduler")
    model.transformer.half().save_pretrained(FOLDERS[stage])
    (FOLDERS[stage] / "training.json").write_text(json.dumps({"recipe": f"transformer {stage}"}) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=tuple(LEARNING_RATE))
    parser.add_argument("--seconds", type=float, default=5400)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument(
        "--from-weights", action="store_true", help="the base: begin as the repository's, if no state is there"
    )
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    if options.from_weights and options.stage != "base":
        parser.error(f"--from-weights is for the base, not for {options.stage}.")
    launch(train, options.processes, options.stage, options.seconds, options.batch, options.from_weights)


if __name__ == "__main__":
    main()
