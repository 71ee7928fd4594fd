"""Teach the pocket base of the AnimateDiff kind cameras, then several views: CVD's training (models/cvd/train.py).

`cameras`: pose encoder, pose merges and motion modules learn on scenes filmed along known paths, as CameraCtrl; the
motion modules too because their norms work frame by frame here (spec: CVD) and over the whole clip in the base.
`views`: the synchronisation modules, and nothing else, learn on the paper's two kinds of pairs: still scenes with true
cameras, cut in the middle and folded, and moving scenes beside a warped copy. One time in eight a still scene stands
beside itself: the paper's pairs part from the first frame on, and never say what the same path twice means. In three
pairs of four both views have one timestep, as in sampling. No true multi-view video is used.
    python -m models.pocket.recipes.cvd cameras --seconds 420
    python -m models.pocket.recipes.cvd views --seconds 600
`difference` takes from a file with the whole network what is the base's; a file without it stays as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from models.common import cameras as geometry
from models.cvd.cameras import ViewCameras
from models.cvd.pose_encoder import CameraPoseEncoder
from models.cvd.train import CvdTraining, Pair, SynchronizationTrainer, fold_clip, warped_pair
from models.cvd.unet import CollaborativeUNet, ViewConditions
from models.pocket.recipes.animatediff import CONFIG as BASE_CONFIG
from models.pocket.recipes.animatediff import Velocity
from models.pocket.recipes.autoencoder import to_model
from models.pocket.recipes.camera_scenes import FOCAL_LENGTH, FRAMES, LENS, film, random_path, solid_scene, words
from models.pocket.recipes.dataset import STATE, open_clips
from models.pocket.recipes.mcm import Base
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
from models.pocket.recipes.transformer import DROPPED, stratified_timesteps
from models.pocket.world import caption, sample_scene

WEIGHTS = Path("models/pocket/weights/cvd")
BASE = Path("models/pocket/weights/animatediff/unet")
WEIGHTS_NAME = "diffusion_pytorch_model.safetensors"
SCENES = 1_000_000  # seeds of this recipe's scenes start here: none of them is in the clips of the base
TESTS = 24
REPEATED = 0.125  # of the pairs are one clip twice
CONFIG = {key: value for key, value in BASE_CONFIG.items() if key != "use_motion_mid_block"} | {
    "motion_norm_num_groups": BASE_CONFIG["norm_num_groups"]
}
POSE_CONFIG = {
    "channels": BASE_CONFIG["block_out_channels"], "layers_per_level": 1, "num_attention_heads": 4,
    "max_frames": FRAMES, "focal_length": round(FOCAL_LENGTH, 5),
}  # fmt: skip


class CameraModel(nn.Module):
    """The CVD network, its pose encoder, and the frozen rest of the base."""

    def __init__(self, base: Base) -> None:
        super().__init__()
        self.unet = CollaborativeUNet(**CONFIG)
        self.pose_encoder = CameraPoseEncoder(**POSE_CONFIG)
        missing, unexpected = self.unet.load_state_dict(base.unet().state_dict(), strict=False)
        new = [name for name in missing if ".cross_view." not in name and ".qkv_merge." not in name]
        assert not new and not unexpected, f"the base does not fit: {new} {unexpected}"


def train_cameras(rank: Rank, seconds: float, batch: int) -> None:
    torch.manual_seed(0)
    base = Base(rank.device)
    model = CameraModel(base).to(rank.device)
    model.unet.requires_grad_(False)
    names = {
        name for name, _ in model.unet.named_parameters() if "motion_modules" in name and "cross_view" not in name
    }
    for name, parameter in model.unet.named_parameters():
        parameter.requires_grad_(name in names)
    both = optimizers(*_groups(model), 1.5e-3, 1e-3)
    learner = Learner(model, both, decay=None)
    run = Run(STATE / "cvd_cameras", seconds, rank)
    if state := run.resume():
        learner.load(state)
    velocity = Velocity(rank.device)
    rng = np.random.default_rng((rank.index, run.step))
    torch.manual_seed(1_000_003 * rank.index + run.step)
    empty, _ = base.read([""])
    losses: list[float] = []
    size = batch // rank.world
    while (progress := run.progress) < 1:
        set_learning_rate(both, trapezoid(progress, 0.03, 0.5))
        clips, rays, prompts = filmed(base, rng, size)
        states, _ = base.read(prompts)
        states[torch.from_numpy(rng.random(size) < DROPPED)] = empty
        timestep = stratified_timesteps(size, rng).to(rank.device)
        noisy, target = velocity(clips, torch.randn_like(clips), timestep)
        with autocast(rank.device), sdpa_kernel(SDPBackend.MATH):
            predicted = model.unet(noisy, timestep, states, ViewConditions(model.pose_encoder(rays)))
            loss = (predicted.float() - target).square().mean()
            number = learner.step(rank, loss)
        run.step, run.samples = run.step + 1, run.samples + batch
        losses.append(number)
        if run.step in (3, 10, 30) or run.step % 50 == 0:
            run.note(loss=float(np.mean(losses[-50:])))
        if run.due():
            run.save(**learner.state())
    if rank.first:
        run.save(**learner.state())


def filmed(base: Base, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor, list[str]]:
    """Latents [count, channels, frames, height, width], rays [count, 6, frames, 64, 64] and captions of new scenes,
    half of them still."""
    clips, rays, prompts = [], [], []
    for _ in range(count):
        scene = solid_scene(SCENES + int(rng.integers(1_000_000)), still=rng.random() < 0.5)
        path = random_path(rng)
        clips.append(film(scene, path, supersample=1))
        prompts.append(words(scene, rng))
        rays.append(geometry.plucker_rays(path.astype(np.float32), np.tile(LENS, (FRAMES, 1)), *clips[0].shape[1:3]))
    with torch.no_grad(), autocast(base.device):
        frames = to_model(torch.from_numpy(np.concatenate(clips)).to(base.device))
        latents = base.vae.encode(frames).latent_dist.mode().float() * base.vae.config.scaling_factor
    latents = latents.unflatten(0, (count, FRAMES)).transpose(1, 2).contiguous()  # torch's CPU kernels crash without
    return latents, torch.from_numpy(np.stack(rays)).transpose(1, 2).float().to(base.device), prompts


def folded_pair(rng: np.random.Generator, device: torch.device, seed: int | None = None) -> tuple[Pair, str]:
    """A still scene filmed once along two paths that meet in the middle, folded there."""
    scene = solid_scene(SCENES + int(rng.integers(1_000_000)) if seed is None else seed, still=True)
    backwards, forwards = random_path(rng), random_path(rng)
    path = np.concatenate([backwards[:0:-1], forwards])
    video = to_model(torch.from_numpy(film(scene, path, supersample=1)).to(device)).transpose(0, 1)
    return fold_clip(video, path, np.tile(LENS, (len(path), 1))), words(scene, rng)


def repeated_pair(rng: np.random.Generator, device: torch.device) -> tuple[Pair, str]:
    """A still scene filmed once, twice the same clip and path."""
    scene, path = solid_scene(SCENES + int(rng.integers(1_000_000)), still=True), random_path(rng)
    video = to_model(torch.from_numpy(film(scene, path, supersample=1)).to(device)).transpose(0, 1)
    both = ViewCameras(np.stack([geometry.relative_poses(path)] * 2), np.tile(LENS, (2, len(path), 1)))
    return Pair(torch.stack([video, video]), cameras=both), words(scene, rng)


def drawn_pair(
    clips: np.ndarray, rng: np.random.Generator, generator: torch.Generator, device: torch.device, still: float
) -> tuple[Pair, str]:
    """A pair for training and its caption; `still` is the share of folded ones among the paper's two kinds."""
    if rng.random() < REPEATED:
        return repeated_pair(rng, device)
    return folded_pair(rng, device) if rng.random() < still else moving_pair(clips, rng, generator)


def moving_pair(clips: np.ndarray, rng: np.random.Generator, generator: torch.Generator) -> tuple[Pair, str]:
    """A moving scene of the base's clips beside a warped copy."""
    index = int(rng.integers(len(clips)))
    video = to_model(torch.from_numpy(np.array(clips[index, :FRAMES]))).transpose(0, 1)
    return warped_pair(video, generator), caption(sample_scene(index, "train"), rng)


def train_views(rank: Rank, seconds: float, batch: int) -> None:
    torch.manual_seed(0)
    base = Base(rank.device)
    model = CameraModel(base).to(rank.device)
    model.load_state_dict(torch.load(STATE / "cvd_cameras" / "state.pt", weights_only=True)["model"])
    generator = torch.Generator().manual_seed(0)
    trainer = SynchronizationTrainer(
        model.unet, model.pose_encoder, base.vae, base.scheduler, generator, CvdTraining(shared_timesteps=0.75)
    )
    trainer.optimizers = both = optimizers(*_groups(model), 3e-3, 1.5e-3)
    learner = Learner(model, both, decay=None)
    run = Run(STATE / "cvd_views", seconds, rank)
    if state := run.resume():
        learner.load(state)
    rng = np.random.default_rng((rank.index, run.step))
    generator.manual_seed(1_000_003 * rank.index + run.step)
    clips, (empty, _) = open_clips("train"), base.read([""])
    tests = [folded_pair(np.random.default_rng(i), rank.device, SCENES - 1 - i) for i in range(TESTS)]
    losses: list[float] = []
    while (progress := run.progress) < 1:
        set_learning_rate(both, trapezoid(progress, 0.03, 0.5))
        still = trainer.settings.static_share
        drawn = [drawn_pair(clips, rng, generator, rank.device, still) for _ in range(batch // rank.world)]
        pairs, prompts = zip(*drawn, strict=True)
        with autocast(rank.device), sdpa_kernel(SDPBackend.MATH):
            losses.append(trainer.step(pairs, base.read(list(prompts))[0], empty, rank.average_gradients))
        run.step, run.samples = run.step + 1, run.samples + batch
        if run.step in (3, 10, 30) or run.step % 50 == 0:
            run.note(loss=float(np.mean(losses[-50:])))
        if run.due():
            run.save(**learner.state())
            run.note(**held_out(trainer, base, tests, empty))
    if rank.first:
        run.save(**learner.state())
        run.note(**held_out(trainer, base, tests, empty))
        export(model, run)


@torch.no_grad()
def held_out(
    trainer: SynchronizationTrainer, base: Base, tests: list[tuple[Pair, str]], empty: Tensor
) -> dict[str, float]:
    """Loss on folded pairs never trained on, the views synchronised and each alone, with the same noise."""
    kept, means = trainer.generator.get_state(), {}
    for name, together in (("val_together", True), ("val_alone", False)):
        trainer.generator.manual_seed(7)
        with autocast(base.device):
            losses = [
                float(trainer.loss(pair, base.read([prompt])[0], empty, synchronized=together))
                for pair, prompt in tests
            ]
        means[name] = float(np.mean(losses))
    trainer.generator.set_state(kept)
    return means


def export(model: CameraModel, run: Run) -> None:
    """Write fp16 weights in diffusers layout; of the network only what is not the base's."""
    write_difference({name: tensor.half() for name, tensor in model.unet.state_dict().items()})
    model.pose_encoder.half().save_pretrained(WEIGHTS / "pose_encoder")
    _note({"recipe": "cvd cameras, views", "pairs": run.samples})


def write_difference(network: Mapping[str, Tensor]) -> None:
    """Of `network`'s tensors [fp16] those that the base does not have, or has with other values."""
    base = load_file(BASE / WEIGHTS_NAME)
    own = {name: t.contiguous() for name, t in network.items() if name not in base or not torch.equal(t, base[name])}
    folder = WEIGHTS / "unet"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(own, folder / WEIGHTS_NAME, {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"_class_name": "CollaborativeUNet", **CONFIG}, indent=2) + "\n")
    _note({"base_sha256": digest(BASE / WEIGHTS_NAME)})


def trained_network() -> CollaborativeUNet:
    """The network as it is in the repository, the base's tensors and its own, float32."""
    unet = CollaborativeUNet(**CONFIG).eval()
    unet.load_state_dict(load_file(BASE / WEIGHTS_NAME) | load_file(WEIGHTS / "unet" / WEIGHTS_NAME))
    return unet


def digest(file: Path) -> str:
    """Tells whether the base is still the one that was trained on."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _note(facts: dict[str, Any]) -> None:
    path = WEIGHTS / "training.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(known | facts) + "\n")


def _groups(model: CameraModel) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """What learns: (matrices inside the blocks, for Muon; everything else)."""
    named: list[tuple[str, Any]] = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for name, p in named if p.ndim == 2 and "pose_encoder" not in name and "qkv_merge" not in name]
    ids = {id(p) for p in matrices}
    return matrices, [p for _, p in named if id(p) not in ids]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("cameras", "views", "difference"))
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    if options.stage == "difference":
        write_difference(load_file(WEIGHTS / "unet" / WEIGHTS_NAME))
        return
    stage = train_cameras if options.stage == "cameras" else train_views
    launch(stage, options.processes, options.seconds, options.batch)


if __name__ == "__main__":
    main()
