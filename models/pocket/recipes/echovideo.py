"""Train the pocket EchoVideo: the base continued on people, their faces fused into the words.

The recogniser, the vision tower, the text encoder and the VAE are frozen; the fusing layers and the transformer learn.
Most captions leave the looks unsaid, so that the face must tell them; the reference is always another picture of the
person than the clip. The picture's latents are given half of the time: a network that always has them copies them.
It learns on the coarse network first, where a clip costs half; what it learned there is added to the base.
    python -m models.pocket.recipes.echovideo --coarse --seconds 1600
    python -m models.pocket.recipes.echovideo --seconds 900
    python -m models.pocket.recipes.echovideo --stage image_only ...   the comparison: latents, no fusion
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers import CogVideoXDDIMScheduler
from torch import Tensor, nn
from transformers import SiglipVisionModel

from models.common.cogvideox.rotary import rotary_for
from models.common.faces import Face, NoFaceError, extract_face
from models.echovideo.reference import face_tokens, first_frame, identity_rows, vision_pixels
from models.echovideo.transformer import EchoVideoTransformer3DModel
from models.pocket.faces import ALIGNED_SIDE, PocketFaces
from models.pocket.faces import WEIGHTS as FACES_WEIGHTS
from models.pocket.recipes import text
from models.pocket.recipes.attention import MatmulAttention
from models.pocket.recipes.dataset import PEOPLE, STATE, scene_of
from models.pocket.recipes.faces import VISION, VISION_WEIGHTS
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
    CONFIG,
    DROPPED,
    GROUP,
    SCHEDULER,
    Noise,
    finer,
    patchify,
    stratified_timesteps,
)
from models.pocket.world import Person, caption
from models.pocket.world.clip import SIDE
from models.pocket.world.portraits import portrait

OUTPUT = Path("models/pocket/weights/echovideo/transformer")
NETWORK = {k: v for k, v in CONFIG.items() if k not in ("feature_group_size", "norm_out_eps")} | {
    "in_channels": 2 * CONFIG["in_channels"], "face_embed_dim": 96, "face_seq_length": 16,
    "face_features_embed_dim": 64, "face_features_seq_length": 4, "resampler_dim": 96, "resampler_depth": 2,
    "resampler_dim_head": 24, "resampler_heads": 4, "resampler_queries": 4, "resampler_ff_mult": 2,
}  # fmt: skip
REFERENCES = 2  # pictures per person
PICTURE_SIDE = 96  # pixels of a reference picture
ANONYMOUS = 0.75  # of the captions
WITHOUT_FACE, WITHOUT_PICTURE = 0.1, 0.5


class References:
    """What the frozen parts make of REFERENCES pictures of each person of a split, drawn once and kept."""

    def __init__(self, split: str, rank: Rank) -> None:
        count = len(open_latents(split))
        self.index = [i for i in range(count) if scene_of(split, i).person is not None]
        mine = self.index[rank.index :: rank.world]
        path = STATE / f"echovideo.{split}.{rank.index}of{rank.world}.npz"
        if not path.exists():
            np.savez(path, **_references(split, mine, rank))  # pyright: ignore[reportArgumentType] -- its own flag's type
        stored = np.load(path)
        self.identity, self.tokens = torch.from_numpy(stored["identity"]), torch.from_numpy(stored["tokens"])
        self.picture, self.nobody = torch.from_numpy(stored["picture"]), torch.from_numpy(stored["nobody"])
        self.mine = mine


def _references(split: str, index: list[int], rank: Rank) -> dict[str, np.ndarray]:
    faces = PocketFaces.from_pretrained(FACES_WEIGHTS).eval()
    start, found = time.monotonic(), []
    for done, i in enumerate(index, start=1):
        rng, person = np.random.default_rng((i, 77)), scene_of(split, i).person
        assert person is not None
        found += [_seen(person, rng, faces) for _ in range(REFERENCES)]
        if rank.first and done % 200 == 0:
            rate = done * REFERENCES / (time.monotonic() - start)
            print(f"{split}: references of {done}/{len(index)} people, {rate:.0f}/s", flush=True)
    vision = SiglipVisionModel.from_pretrained(VISION_WEIGHTS).float().eval()
    vae, scale = frame_encoder()
    tokens, latents = [], []
    with torch.no_grad():
        for chunk in (found[k : k + 64] for k in range(0, len(found), 64)):
            pictures = [face.picture for face in chunk]
            size = int(VISION["image_size"])
            pixels = torch.cat([vision_pixels(picture, size) for picture in pictures])
            tokens.append(vision(pixels).last_hidden_state.half().numpy())
            frames = torch.cat([first_frame(picture, SIDE, SIDE) for picture in pictures])
            latents.append((vae.encode(frames).latent_dist.mean[:, :, 0] * scale).half().numpy())  # pyright: ignore[reportCallIssue] -- a module by type
        nobody = face_tokens(vision, found[0].picture)[0].half().numpy()
    arrays = {
        "identity": np.stack([face.identity.astype(np.float16) for face in found]),
        "tokens": np.concatenate(tokens),
        "picture": np.concatenate(latents),
    }
    packed = {name: rows.reshape(len(index), REFERENCES, *rows.shape[1:]) for name, rows in arrays.items()}
    return packed | {"nobody": nobody}


def _seen(person: Person, rng: np.random.Generator, faces: PocketFaces) -> Face:
    """The face in a picture of the person; another picture where it is turned away too far."""
    while True:
        picture = portrait(person, rng, PICTURE_SIDE).image
        with contextlib.suppress(NoFaceError):
            return extract_face(picture, faces, faces.parse, size=ALIGNED_SIDE)


class People:
    """Batches of clips of people, each with the face of another picture of the same person."""

    def __init__(self, splits: tuple[str, ...], rank: Rank, tokenizer: text.T5Tokenizer) -> None:
        found = [(split, References(split, rank)) for split in splits]
        self.identity = torch.cat([one.identity[:, :REFERENCES] for _, one in found])
        self.tokens = torch.cat([one.tokens[:, :REFERENCES] for _, one in found])
        self.picture = torch.cat([one.picture[:, :REFERENCES] for _, one in found])
        self.nobody = found[0][1].nobody
        clips = [np.stack([open_latents(split)[i] for i in one.mine]) for split, one in found]
        self.clips = torch.from_numpy(np.concatenate(clips))
        self.scenes = [scene_of(split, i) for split, one in found for i in one.mine]
        self.rank, self.tokenizer = rank, tokenizer
        self.order = np.zeros(0, np.int64)

    def batch(
        self, size: int, rng: np.random.Generator, dropped: float, faceless: float, pictureless: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Clips, picture latents (zeros after the first frame), both [batch, frames, channels, height, width], token
        ids, face tokens [batch, tokens, dim], identity rows [batch, rows, dim]."""
        if len(self.order) < size:
            self.order = rng.permutation(len(self.clips))
        chosen, self.order = self.order[:size], self.order[size:]
        words = ["" if rng.random() < dropped else caption(self.scenes[i], rng, anonymous=rng.random() < ANONYMOUS)
                 for i in chosen]  # fmt: skip
        which = rng.integers(REFERENCES, size=size)
        known = torch.from_numpy(rng.random(size) >= faceless)
        shown = torch.from_numpy(rng.random(size) >= pictureless)
        tokens = torch.where(known[:, None, None], self.tokens[chosen, which], self.nobody).float()
        identity = self.identity[chosen, which].float() * known[:, None]
        rows = identity_rows(identity, NETWORK["face_features_seq_length"])[size:]
        clips = self.clips[chosen].float()
        picture = torch.zeros_like(clips)
        picture[:, 0] = self.picture[chosen, which].float() * shown.view(-1, 1, 1, 1)
        ids = text.tokenize(self.tokenizer, words)
        return tuple(x.to(self.rank.device) for x in (clips, picture, ids, tokens, rows))  # pyright: ignore[reportReturnType]


class FaceToVideo(nn.Module):
    """The network in training: fuse, then predict v in patches for whole clips."""

    def __init__(self, frames_per_token: int = GROUP) -> None:
        super().__init__()
        self.transformer = EchoVideoTransformer3DModel(**{**NETWORK, "patch_size_t": frames_per_token})
        side = CONFIG["sample_height"]
        rotary = rotary_for(self.transformer.config, CONFIG["sample_frames"], side, side)
        assert rotary is not None
        self.register_buffer("cos", rotary[0], persistent=False)
        self.register_buffer("sin", rotary[1], persistent=False)
        if not torch.cuda.is_available():
            self.transformer.set_attn_processor(MatmulAttention())  # pyright: ignore[reportArgumentType] -- as the base

    def start_from(self, base: Mapping[str, Tensor]) -> None:
        """The base's weights; the picture's channels start unseen, the fused words as the words themselves, with the
        face's tokens added to the slots that captions rarely fill."""
        network = self.transformer
        own = network.state_dict()
        for full_name, value in base.items():
            name = full_name.removeprefix("transformer.")
            if name not in own:
                continue
            if name == "patch_embed.proj.weight":
                own[name].zero_()
                own[name][:, : value.shape[1]] = value
            else:
                own[name].copy_(value)
        with torch.no_grad():
            faces, words = NETWORK["face_seq_length"], CONFIG["max_text_seq_length"]
            network.text_proj.weight.zero_()
            network.text_proj.weight[:, faces:].copy_(torch.eye(words))
            network.text_proj.weight[words - faces :, :faces].copy_(torch.eye(faces))
            network.text_proj.bias.zero_()
            network.face_info_proj.weight.normal_(0, 0.05)
            network.face_info_proj.weight[:, NETWORK["resampler_queries"] :] += torch.eye(faces)
            network.face_info_proj.bias.zero_()

    def carry_over(self, learned: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> None:
        """Add what the same stage changed in the network that has the weights `before`, and take the layers that are
        its own (task arithmetic, arXiv:2212.04089)."""
        own = self.state_dict()
        for name, value in learned.items():
            if name not in before:
                own[name].copy_(value)
                continue
            change = value.clone()
            change[tuple(slice(size) for size in before[name].shape)] -= before[name]
            own[name] += change

    def forward(
        self, noisy: Tensor, picture: Tensor, timestep: Tensor, words: Tensor, tokens: Tensor, rows: Tensor
    ) -> Tensor:
        fused = self.transformer.fuse_text(words, tokens, rows)
        arguments = {"hidden_states": torch.cat([noisy, picture], 2), "encoder_hidden_states": fused}
        rotary = (self.cos, self.sin)
        return self.transformer(**arguments, timestep=timestep, image_rotary_emb=rotary, return_dict=False)[0]


@torch.no_grad()
def evaluate(model: FaceToVideo, encoder: nn.Module, data: People, noise: Noise) -> dict[str, float]:
    """v loss on clips of other scenes: with face and picture, with the face, with the picture, with neither."""
    losses = {}
    for name, faceless, pictureless in (("both", 0, 0), ("face", 0, 1), ("picture", 1, 0), ("none", 1, 1)):
        rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
        data.order = np.zeros(0, np.int64)
        found = []
        for _ in range(3):
            clips, picture, ids, tokens, rows = data.batch(16, rng, 0.0, faceless, pictureless)
            timestep = torch.linspace(20, 980, 16).long().to(clips.device)
            noisy, target = noise(clips, torch.randn(clips.shape, generator=generator).to(clips.device), timestep)
            with autocast(clips.device):
                predicted = model(noisy, picture, timestep, encoder(ids).last_hidden_state, tokens, rows)
            found.append(float((predicted.float() - target).square().mean()))
        losses[f"val_{name}"] = float(np.mean(found))
    return losses


def _average(run: str) -> dict[str, Tensor]:
    return torch.load(STATE / run / "state.pt", map_location="cpu", weights_only=True)["average"]


def train(rank: Rank, stage: str, coarse: bool, seconds: float, batch: int, lr: float) -> None:
    torch.manual_seed(0)
    name, group = ("echovideo" if stage == "full" else f"echovideo_{stage}"), COARSE_GROUP if coarse else GROUP
    run = Run(STATE / (f"{name}_coarse" if coarse else name), seconds, rank)
    tokenizer = text.build_tokenizer()
    data = People(("train", PEOPLE), rank, tokenizer)
    test = People(("test",), Rank(0, 1, rank.device), tokenizer) if rank.first else None
    base = _average("coarse" if coarse else "base")
    encoder = text.build_encoder(len(tokenizer))
    prefix = "text_encoder."
    encoder.load_state_dict({k.removeprefix(prefix): v for k, v in base.items() if k.startswith(prefix)}, strict=False)
    encoder = encoder.requires_grad_(False).eval()
    encoder.to(rank.device)  # pyright: ignore[reportArgumentType] -- transformers' decorator keeps self
    model = FaceToVideo(group)
    model.start_from({k: v for k, v in base.items() if k.startswith("transformer.")})
    if not coarse:
        model.carry_over(finer(_average(f"{name}_coarse")), finer(_average("coarse")))
    model.to(rank.device)
    muon, slow, fast = [], [], []
    for key, parameter in model.named_parameters():
        if stage == "image_only" and _fuses(key):
            parameter.requires_grad_("text_proj" in key)
        if parameter.requires_grad:
            matrix = parameter.ndim == 2 and "transformer_blocks" in key and (".attn1." in key or ".ff." in key)
            (fast if _fuses(key) or "patch_embed" in key else muon if matrix else slow).append(parameter)
    both = optimizers(muon, slow, 2e-3 * lr, 1e-3 * lr) + optimizers([], fast, 0.0, 1.5e-3)
    learner = Learner(model, both)
    if state := run.resume():
        learner.load(state)
    noise = Noise(CogVideoXDDIMScheduler(**SCHEDULER), rank.device)
    rng = np.random.default_rng((rank.index, run.step))
    torch.manual_seed(1_000_003 * rank.index + run.step)
    faceless, pictureless = (1.0, DROPPED) if stage == "image_only" else (WITHOUT_FACE, WITHOUT_PICTURE)
    losses: list[float] = []

    def save() -> None:
        run.save(**learner.state())
        assert test is not None
        with learner.averaged():
            run.note(**evaluate(model, encoder, test, noise))

    while (progress := run.progress) < 1:
        set_learning_rate(both, trapezoid(progress, 0.03, 0.7))
        clips, picture, ids, tokens, rows = data.batch(batch // rank.world, rng, DROPPED, faceless, pictureless)
        timestep = stratified_timesteps(len(clips), rng).to(rank.device)
        noisy, target = noise(clips, torch.randn_like(clips), timestep)
        with autocast(rank.device):
            with torch.no_grad():
                words = encoder(ids).last_hidden_state
            predicted = model(noisy, picture, timestep, words, tokens, rows)
        loss = (patchify(predicted.float(), group) - patchify(target, group)).square().mean()
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
        folder = OUTPUT if stage == "full" else STATE / f"echovideo_{stage}/transformer"
        model.transformer.half().save_pretrained(folder)
        (folder / "training.json").write_text(json.dumps({"recipe": f"echovideo --stage {stage}"}) + "\n")


def _fuses(name: str) -> bool:
    return any(part in name for part in ("face_prj_wofc", "face_info_proj", "face_proj", "text_proj")) and (
        "patch_embed" not in name
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=("full", "image_only"), default="full")
    parser.add_argument("--coarse", action="store_true", help="on the coarse network")
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--lr", type=float, default=0.5, help="times the base's learning rate")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    launch(train, options.processes, options.stage, options.coarse, options.seconds, options.batch, options.lr)


if __name__ == "__main__":
    main()
