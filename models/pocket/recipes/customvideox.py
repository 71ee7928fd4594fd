"""Train CustomVideoX's LoRA for the pocket base: it acts on the picture's tokens, which every block attends to.

Video and words keep the base's layers, so that what moves is drawn as well as the base draws it. (A LoRA on all rows
unlearned it: balls that bounced became boxes or cans in many scenes, in whatever colour, and without the picture too.)
Each clip is told with its subject's looks left out ("the object bounces on grass", mostly "the cube ..."), and
shown the same subject cut out of another scene, pose, size and view, so that the looks must come from the picture.
Solids in colours without a name are among them, so that more than six colours are learnt to be taken over.
One time in ten there are no words. Most steps see eight of a clip's twenty frames, at their true places: a look is
learned as well from them, in half the time; the last steps see whole clips.
Noisy timesteps come more often, since a shape is decided early. Every place counts the same: an error that counts more
where the subject turned out to be teaches to see it wherever it might be.
The LoRA learns on the coarse network first, where a clip costs half, and goes on from there; where the training state
is gone it goes on from the repository's.
    python -m models.pocket.recipes.customvideox references    render and encode the pictures, once
    python -m models.pocket.recipes.customvideox train --coarse --seconds 11000
    python -m models.pocket.recipes.customvideox train --seconds 1500
    python -m models.pocket.recipes.customvideox train --from-weights --seconds 1500
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import CogVideoXDDIMScheduler
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import T5EncoderModel

from models.common.cogvideox.rotary import rotary_for
from models.customvideox.lora import LAYERS, LoraSettings, ReferenceLora, load_lora
from models.customvideox.objective import predict_velocity
from models.customvideox.reference import place_subject
from models.customvideox.transformer import CustomVideoXTransformer3DModel
from models.pocket.recipes import text
from models.pocket.recipes.dataset import STATE, TINTED, scene_of
from models.pocket.recipes.latents import frame_encoder, open_latents
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
from models.pocket.recipes.transformer import (
    COARSE_GROUP,
    DROPPED,
    FOLDERS,
    FRAMES,
    GROUP,
    SCHEDULER,
    Clips,
    Noise,
    draw_together,
    patchify,
    stratified_timesteps,
)
from models.pocket.recipes.vae import WEIGHTS, to_model
from models.pocket.world import Scene, caption
from models.pocket.world.clip import SIDE
from models.pocket.world.cutouts import cutout

OUTPUT = Path("models/pocket/weights/customvideox/lora")
PICTURES = 3  # of each clip's subject
FOLDER = STATE / "references"
SETTINGS = LoraSettings(rank=32, alpha=32.0, layers=tuple(LAYERS), rows="reference", mask="cached")
NAMED = 0.9  # share of captions that say what the subject is
NOUNS = ("object", "object", "thing", "subject")  # none is in the vocabulary: the text encoder reads <unk>
ENCODED_AT_ONCE = 64
SEEN = 8  # of a clip's frames in a step
WHOLE, SOMETIMES_WHOLE = 0.15, 0.15  # the last share of the time, and of the steps before, sees all of them


def references_path(split: str) -> Path:
    return FOLDER / f"{split}.npy"


def reference_frame(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """A picture as training shows it: uint8 [SIDE, SIDE, 3], on white, its size and place varied."""
    picture = cutout(scene, rng)
    on_white = np.where(picture[..., 3:] > 0, picture[..., :3], np.uint8(255))
    shift = tuple(rng.uniform(-0.5, 0.5, 2).tolist())
    return place_subject(on_white, SIDE, SIDE, float(rng.uniform(0.6, 0.95)), shift)  # pyright: ignore[reportArgumentType]


@torch.no_grad()
def encode_references(rank: Rank, split: str) -> None:
    """PICTURES latents of every clip's subject, float16 [clips, PICTURES, channels, h, w]."""
    vae, scale = frame_encoder()
    vae.to(rank.device)
    latents = np.load(_unfinished(references_path(split)), mmap_mode="r+")
    mine = list(range(rank.index, len(latents), rank.world))
    start = time.monotonic()
    for first in range(0, len(mine), ENCODED_AT_ONCE):
        block = mine[first : first + ENCODED_AT_ONCE]
        frames = []
        for index in block:
            scene, rng = scene_of(split, index), np.random.default_rng((index, 5))
            frames += [reference_frame(scene, rng) for _ in range(PICTURES)]
        pixels = to_model(torch.from_numpy(np.stack(frames)).to(rank.device)).unsqueeze(2)
        with autocast(rank.device):
            mean = vae.encode(pixels).latent_dist.mean  # pyright: ignore[reportCallIssue]
        latents[block] = (mean.float() * scale).squeeze(2).unflatten(0, (-1, PICTURES)).cpu().numpy()
        if rank.first and first % (10 * ENCODED_AT_ONCE) == 0:
            done = first + len(block)
            rate = done / (time.monotonic() - start)
            print(f"{split}: pictures for {done}/{len(mine)} clips of this process, {rate:.0f} clips/s", flush=True)


def make_references(processes: int) -> None:
    """The pictures of all splits; what is there stays."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for split in ("test", "train", TINTED):
        path = references_path(split)
        if path.exists():
            print(f"{path} is there.")
            continue
        count, _, *shape = open_latents(split).shape
        np.lib.format.open_memmap(_unfinished(path), "w+", np.float16, (count, PICTURES, *shape)).flush()
        launch(encode_references, processes, split)
        _unfinished(path).rename(path)


def _unfinished(path: Path) -> Path:
    return path.with_suffix(".partial.npy")


class Subjects(Clips):
    """Batches of clips with pictures of their subjects and captions that leave the looks out."""

    def __init__(self, splits: Sequence[str], rank: Rank, tokenizer: text.T5Tokenizer) -> None:
        super().__init__(splits, rank, tokenizer)
        pictures = [np.load(references_path(split), mmap_mode="r")[rank.index :: rank.world] for split in splits]
        self.pictures = torch.from_numpy(np.concatenate(pictures))

    def batch(self, size: int, rng: np.random.Generator, dropped: float) -> tuple[Tensor, Tensor, Tensor]:
        """Clips [batch, frames, channels, height, width], pictures [batch, 1, ...], token ids [batch, MAX_TOKENS]."""
        chosen = self.draw(size, rng)
        words = ["" if rng.random() < dropped else anonymous_caption(self.scenes[i], rng) for i in chosen]
        pictures = self.pictures[chosen, rng.integers(PICTURES, size=size)][:, None]
        ids = text.tokenize(self.tokenizer, words)
        clips = self.clips[chosen].float()
        return tuple(x.to(self.rank.device) for x in (clips, pictures.float(), ids))  # pyright: ignore[reportReturnType]


def anonymous_caption(scene: Scene, rng: np.random.Generator) -> str:
    """A caption that says what happens where, and sometimes what the subject is, but not what it looks like."""
    noun = str(rng.choice(NOUNS))
    if rng.random() < NAMED:
        noun = "person" if scene.person else scene.solids[0].shape
    article = "the" if rng.random() < 0.5 else "an" if noun == "object" else "a"
    return caption(scene, rng, subject=f"{article} {noun}")


class PictureToVideo(nn.Module):
    """The frozen network and its LoRA; `forward` predicts v of whole clips."""

    def __init__(self, base: Path) -> None:
        super().__init__()
        self.transformer = CustomVideoXTransformer3DModel.from_config(CustomVideoXTransformer3DModel.load_config(base))
        weights = load_file(base / "diffusion_pytorch_model.safetensors")
        weights.pop("learnable_gating", None)  # RepVideo's, which act only with its cache
        self.transformer.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        self.transformer.requires_grad_(False).eval()
        self.lora = ReferenceLora(self.transformer.transformer_blocks, self.transformer.hidden_size, SETTINGS)

    def forward(
        self, noisy: Tensor, timestep: Tensor, words: Tensor, pictures: Tensor | None, groups: Tensor | None = None
    ) -> Tensor:
        """v [batch, frames, channels, height, width]; or, with noisy latents that stand at `groups` of the clip only,
        their patches of v [batch, tokens, patch values]."""
        if groups is None:
            return predict_velocity(self.transformer, self.lora, noisy, timestep, words, pictures)
        network, embed = self.transformer, self.transformer.patch_embed
        adapted = network.adapted(self.lora)
        memory = None if pictures is None else network.remember(pictures, adapted)
        rotary = rotary_for(network.config, FRAMES, noisy.shape[3], noisy.shape[4], noisy.device)
        assert rotary is not None
        per_token = network.config.patch_size_t
        size = len(rotary[0]) // (FRAMES // per_token)
        rows = (groups[:, None] * size + torch.arange(size, device=noisy.device)).flatten()
        table = embed.get_buffer("pos_embedding")[:, words.shape[1] + rows]
        streams = (embed.text_proj(words), embed.proj(patchify(noisy, per_token)) + table)
        emb = network.embed_time(timestep, noisy.dtype)
        return network.run_blocks(streams, emb, (rotary[0][rows], rotary[1][rows]), adapted, memory)


@torch.no_grad()
def evaluate(model: PictureToVideo, encoder: nn.Module, data: Subjects, noise: Noise) -> dict[str, float]:
    """v loss on other scenes with their picture, without one, and with the next clip's picture, noise fixed."""
    losses: dict[str, list[float]] = {"val": [], "val_no_picture": [], "val_wrong_picture": []}
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    data.order = np.zeros(0, np.int64)
    for _ in range(4):
        clips, pictures, ids = data.batch(16, rng, 0.0)
        timestep = torch.linspace(20, 980, 16).long().to(clips.device)
        noisy, target = noise(clips, torch.randn(clips.shape, generator=generator).to(clips.device), timestep)
        for (_, found), shown in zip(losses.items(), (pictures, None, pictures.roll(1, 0)), strict=True):
            with autocast(clips.device):
                predicted = model(noisy, timestep, encoder(ids).last_hidden_state, shown)
            found.append(float((predicted.float() - target).square().mean()))
    return {name: float(np.mean(found)) for name, found in losses.items()}


def train(rank: Rank, coarse: bool, from_weights: bool, seconds: float, batch: int, lr: float) -> None:
    torch.manual_seed(0)
    base = FOLDERS["coarse" if coarse else "repvideo_off"]
    group = COARSE_GROUP if coarse else GROUP
    run = Run(STATE / ("customvideox_coarse" if coarse else "customvideox"), seconds, rank)
    tokenizer = text.build_tokenizer()
    data = Subjects(("train", TINTED), rank, tokenizer)
    test = Subjects(("test",), Rank(0, 1, rank.device), tokenizer) if rank.first else None
    encoder = (
        T5EncoderModel.from_pretrained(WEIGHTS / "text_encoder", dtype=torch.float32).eval().requires_grad_(False)
    )
    encoder.to(rank.device)  # pyright: ignore[reportArgumentType] -- transformers' decorator keeps self
    model = PictureToVideo(base).to(rank.device)
    lora = model.lora
    both = optimizers([], list(lora.parameters()), 0.0, lr)
    learner = Learner(lora, both, decay=0.995)
    if state := run.resume():
        learner.load(state)
    elif not coarse:
        if from_weights:
            learned = load_lora(str(OUTPUT), model.transformer, SETTINGS).state_dict()
        else:
            state = torch.load(STATE / "customvideox_coarse/state.pt", map_location=rank.device, weights_only=True)
            learned = state["average"]
        lora.load_state_dict(learned)
        learner = Learner(lora, both, decay=0.995)  # its average begins there too
    noise = Noise(CogVideoXDDIMScheduler(**SCHEDULER), rank.device)
    rng = np.random.default_rng((rank.index, run.step))
    torch.manual_seed(1_000_003 * rank.index + run.step)  # until here all processes agreed; noise must not
    losses: list[float] = []

    def save() -> None:
        """State on disk, and the losses of the averaged weights."""
        run.save(**learner.state())
        assert test is not None
        with learner.averaged():
            run.note(**evaluate(model, encoder, test, noise))

    while (progress := run.progress) < 1:
        set_learning_rate(both, trapezoid(progress, 0.02, 0.6))
        clips, pictures, ids = data.batch(batch // rank.world, rng, DROPPED)
        timestep = (1000 * (stratified_timesteps(len(clips), rng) / 1000).sqrt()).long().to(rank.device)
        whole = progress > 1 - WHOLE or draw_together(rank) < SOMETIMES_WHOLE
        groups = None if whole else torch.randperm(FRAMES // group)[: SEEN // group].sort().values.to(rank.device)
        if groups is not None:
            clips = clips.unflatten(1, (-1, group))[:, groups].flatten(1, 2)
        noisy, target = noise(clips, torch.randn_like(clips), timestep)
        with autocast(rank.device):
            with torch.no_grad():
                words = encoder(ids).last_hidden_state
            predicted = model(noisy, timestep, words, pictures, groups)
        loss = (predicted.float() - (target if groups is None else patchify(target, group))).square().mean()
        number = learner.step(rank, loss)
        run.step, run.samples = run.step + 1, run.samples + batch
        losses.append(number)
        if run.step in (5, 20, 60) or run.step % 100 == 0:
            run.note(loss=float(np.mean(losses[-100:])))
        if run.due():
            save()
    if rank.first:
        save()
        learner.finish()
        if coarse:
            return
        lora.save(OUTPUT)
        facts = {"recipe": "customvideox train", "base": str(base), "steps": run.step, "samples": run.samples}
        (OUTPUT / "training.json").write_text(json.dumps(facts) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("references", "train"))
    parser.add_argument("--seconds", type=float, default=1500)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--lr", type=float, default=2e-3)
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--coarse", action="store_true", help="on the coarse network")
    ways.add_argument(
        "--from-weights", action="store_true", help="begin as the repository's LoRA, if no state is there"
    )
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    if options.stage == "references":
        make_references(options.processes)
        return
    way = (options.coarse, options.from_weights)
    launch(train, options.processes, *way, options.seconds, options.batch, options.lr)


if __name__ == "__main__":
    main()
