"""Train the world's face networks and the pocket vision tower on portraits; nothing held out is shown.

Finder: composed pictures with none to three faces. Parser: part labels. Recogniser: two pictures of a person lie
closer than those of two people, and the vector tells the looks. Vision tower: a small SigLIP whose tokens tell the
looks, as SigLIP's tell the words.
    python -m models.pocket.recipes.faces --seconds 420
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import SiglipVisionConfig, SiglipVisionModel

from models.common.faces import NOT_FACE, align_face
from models.pocket.faces import ALIGNED_SIDE, CELL, FOUND_SIDE, PARTS, WEIGHTS, PocketFaces
from models.pocket.recipes.dataset import STATE, open_clips
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
from models.pocket.world import Person, sample_scene
from models.pocket.world import scene as names
from models.pocket.world.portraits import portrait

VIEWS = 4
VISION = {"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 3, "num_attention_heads": 3,
          "image_size": 64, "patch_size": 16, "vision_use_head": False}  # fmt: skip
VISION_WEIGHTS = Path("models/pocket/weights/echovideo/vision")
LOOKS = {"skin": tuple(names.SKINS), "hair_style": names.HAIR_STYLES, "hair_colour": tuple(names.HAIR_COLOURS),
         "eyes": tuple(names.EYES), "glasses": (False, True), "beard": (False, True)}  # fmt: skip
BUILD = 5
MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])


def looks(person: Person) -> list[int]:
    """An index per question of LOOKS; -1 where a bald head hides the answer."""
    found = [LOOKS[name].index(getattr(person, name)) for name in LOOKS]
    if person.hair_style == "bald" and not person.beard:
        found[list(LOOKS).index("hair_colour")] = -1
    return found


class LooksHead(nn.Module):
    """Names the looks from a vector; used in training only."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.answers = nn.ModuleList(nn.Linear(dim, len(options)) for options in LOOKS.values())
        self.build = nn.Linear(dim, BUILD)

    def loss(self, vector: Tensor, right: Tensor, build: Tensor) -> Tensor:
        asked = [F.cross_entropy(head(vector), right[:, i], ignore_index=-1) for i, head in enumerate(self.answers)]
        return torch.stack(asked).sum() + 2 * F.mse_loss(self.build(vector), build)

    def correct(self, vector: Tensor, right: Tensor) -> dict[str, float]:
        hits = {}
        for i, (name, head) in enumerate(zip(LOOKS, self.answers, strict=True)):
            known = right[:, i] >= 0
            hits[name] = float((head(vector).argmax(1) == right[:, i])[known].float().mean())
        return hits


class Faces(nn.Module):
    """Everything that learns here."""

    def __init__(self) -> None:
        super().__init__()
        self.faces = PocketFaces()
        self.vision = SiglipVisionModel(SiglipVisionConfig(**VISION))
        self.recogniser_looks = LooksHead(self.faces.config["identity_dim"])
        self.vision_looks = LooksHead(VISION["hidden_size"])


class Portraits:
    """Pictures of people, VIEWS each, with landmarks, parts and looks; rendered once and kept."""

    def __init__(self, split: str, people: int, rank: Rank) -> None:
        self.people = [sample_scene(i, split, 1.0).person for i in range(people)]
        path = STATE / f"portraits.{split}.npz"
        if not path.exists() and rank.first:
            start, rng = time.monotonic(), np.random.default_rng(1)
            drawn = [portrait(p, rng, FOUND_SIDE) for p in self.people if p for _ in range(VIEWS)]
            partial = path.with_suffix(".partial.npz")
            np.savez(partial, images=np.stack([d.image for d in drawn]), parts=np.stack([d.parts for d in drawn]),
                     landmarks=np.stack([d.landmarks for d in drawn]))  # fmt: skip
            partial.replace(path)
            print(f"{split}: {len(drawn)} portraits in {time.monotonic() - start:.0f} s", flush=True)
        rank.wait()
        stored = np.load(path)
        self.images, self.parts, self.landmarks = stored["images"], stored["parts"], stored["landmarks"]
        self.looks = torch.tensor([looks(p) for p in self.people if p])
        self.build = torch.tensor([p.build for p in self.people if p])


def normalise(images: np.ndarray) -> Tensor:
    """uint8 [batch, side, side, 3] -> [batch, 3, side, side], as the parser's input is."""
    return ((torch.from_numpy(images).float() / 255 - MEAN) / STD).movedim(-1, 1)


def aligned(
    data: Portraits, index: int, rng: np.random.Generator, shake: float = 0.02
) -> tuple[np.ndarray, np.ndarray]:
    """A face and its parts on the template, the landmarks a little off as a finder's are."""
    landmarks = data.landmarks[index] + rng.normal(0, shake * FOUND_SIDE / 4, (5, 2)).astype(np.float32)
    image, matrix = align_face(data.images[index], landmarks, ALIGNED_SIDE)
    size = (ALIGNED_SIDE, ALIGNED_SIDE)
    return image, cv2.warpAffine(data.parts[index], matrix, size, flags=cv2.INTER_NEAREST)


def masked(image: np.ndarray, parts: np.ndarray) -> np.ndarray:
    return np.where(np.isin(parts, NOT_FACE)[..., None], np.uint8(0), image)


def scatter(data: Portraits, clips: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A picture [96, 96, 3] with none to three people, and landmarks [faces, 5, 2] in its pixels."""
    side = FOUND_SIDE
    canvas = np.full((side, side, 3), rng.integers(0, 256, 3), np.uint8)
    if rng.random() < 0.5:
        frame = clips[int(rng.integers(len(clips))), int(rng.integers(clips.shape[1]))]
        canvas = cv2.resize(frame, (side, side))
    count = int(rng.choice(4, p=(0.12, 0.6, 0.14, 0.14)))
    found = []
    if count == 1:
        scale, index = float(rng.uniform(0.45, 1.5)), int(rng.integers(len(data.images)))
        free = side * (1 - scale)
        x, y = rng.uniform(min(free, 0), max(free, 0), 2)
        if scale > 1:  # keep the face inside
            middle = data.landmarks[index].mean(0) * scale
            x, y = np.clip((x, y), 0.3 * side - middle, 0.7 * side - middle)
        found.append(_paste(canvas, data, index, np.array([[scale, 0, x], [0, scale, y]])))
    elif count:
        part, scale = side / count, float(rng.uniform(0.8, 1.0)) / count
        for place in range(count):
            index = int(rng.integers(len(data.images)))
            x = place * part + rng.uniform(0, part - scale * side)
            found.append(
                _paste(canvas, data, index, np.array([[scale, 0, x], [0, scale, rng.uniform(0, side - scale * side)]]))
            )
    landmarks = np.stack(found) if found else np.zeros((0, 5, 2), np.float32)
    if rng.random() < 0.3:
        canvas = cv2.GaussianBlur(canvas, (3, 3), 0)
    return canvas, landmarks


def _paste(canvas: np.ndarray, data: Portraits, index: int, matrix: np.ndarray) -> np.ndarray:
    size = canvas.shape[1::-1]
    image = data.images[index]
    shrunk = cv2.GaussianBlur(image, (0, 0), 0.5 / matrix[0, 0]) if matrix[0, 0] < 0.7 else image
    drawn = cv2.warpAffine(shrunk, matrix, size)
    where = cv2.warpAffine(np.full(image.shape[:2], 255, np.uint8), matrix, size) > 127
    canvas[where] = drawn[where]
    return (data.landmarks[index] @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def finder_targets(landmarks: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Heat [cells, cells], numbers [14, cells, cells], and where the numbers count [cells, cells]."""
    cells = FOUND_SIDE // CELL
    heat, numbers, counts = torch.zeros(cells, cells), torch.zeros(14, cells, cells), torch.zeros(cells, cells)
    rows, columns = np.mgrid[0:cells, 0:cells] + 0.5
    for points in landmarks / CELL:
        low, high = points.min(0), points.max(0)
        reach = 0.6 * (high - low).max()
        low, high = low - reach, high + reach
        middle = (low + high) / 2
        squared = (columns - middle[0]) ** 2 + (rows - middle[1]) ** 2
        heat = torch.maximum(heat, torch.from_numpy(np.exp(-squared / (2 * 0.8**2))).float())
        near = torch.from_numpy(squared < 1.6**2)
        grid = np.stack([columns, rows])
        box = np.concatenate([grid - low[:, None, None], high[:, None, None] - grid])
        offsets = np.concatenate([p[:, None, None] - grid for p in points])
        numbers[:, near] = torch.from_numpy(np.concatenate([box, offsets])).float()[:, near]
        counts[near] = 1
    return heat, numbers, counts


def same_person(vectors: Tensor) -> Tensor:
    """InfoNCE over pairs [people, 2, dim]: each picture's nearest is the other one of its person."""
    first, second = F.normalize(vectors[:, 0], dim=1), F.normalize(vectors[:, 1], dim=1)
    likeness = first @ second.T / 0.1
    right = torch.arange(len(first), device=vectors.device)
    return F.cross_entropy(likeness, right) + F.cross_entropy(likeness.T, right)


def step_loss(
    model: Faces, data: Portraits, clips: np.ndarray, rng: np.random.Generator, people: int, device
) -> Tensor:
    who = rng.choice(len(data.looks), people, replace=False)
    views = np.stack([rng.choice(VIEWS, 2, replace=False) for _ in who]) + VIEWS * who[:, None]
    crops = [aligned(data, int(i), rng) for i in views.flatten()]
    plain = normalise(np.stack([image for image, _ in crops])).to(device)
    parts = torch.from_numpy(np.searchsorted(PARTS, np.stack([p for _, p in crops]))).to(device)
    pictures = torch.from_numpy(np.stack([masked(*crop) for crop in crops])).to(device)
    right = data.looks[who].repeat_interleave(2, 0).to(device)
    build = data.build[who].repeat_interleave(2, 0).to(device)
    tint = 1 + 0.1 * torch.randn(len(plain), 3, 1, 1, device=device)
    vectors = model.faces.recogniser(plain * tint + 0.05 * torch.randn_like(plain)).float()
    loss = model.recogniser_looks.loss(vectors, right, build) + same_person(vectors.unflatten(0, (-1, 2)))
    loss = loss + 3 * F.cross_entropy(model.faces.parser(plain + 0.05 * torch.randn_like(plain)).float(), parts)
    pixels = pictures.movedim(-1, 1).float() / 127.5 - 1
    tokens = model.vision(pixels).last_hidden_state.float()
    loss = loss + model.vision_looks.loss(tokens.mean(1), right, build)
    scenes = [scatter(data, clips, rng) for _ in range(people)]
    targets = [finder_targets(landmarks) for _, landmarks in scenes]
    heat, numbers, counts = (torch.stack(x).to(device) for x in zip(*targets, strict=True))
    found = model.faces.finder(normalise(np.stack([image for image, _ in scenes])).to(device)).float()
    weight = 1 + 20 * heat
    loss = loss + 8 * (F.binary_cross_entropy_with_logits(found[:, 0], heat, reduction="none") * weight).mean()
    off = F.smooth_l1_loss(found[:, 1:], numbers, reduction="none", beta=0.2).mean(1) * counts
    return loss + 4 * off.sum() / counts.sum().clamp_min(1)


@torch.no_grad()
def evaluate(model: Faces, data: Portraits) -> dict[str, float]:
    """On held-out people: what the vectors tell, whether they know a person, where the finder puts landmarks."""
    rng = np.random.default_rng(0)
    crops = [aligned(data, i, rng) for i in range(len(data.images))]
    plain = normalise(np.stack([image for image, _ in crops]))
    right = data.looks.repeat_interleave(VIEWS, 0)
    vectors = model.faces.recogniser(plain)
    tokens = model.vision(torch.from_numpy(np.stack([masked(*c) for c in crops])).movedim(-1, 1) / 127.5 - 1)
    numbers = {f"recogniser_{k}": v for k, v in model.recogniser_looks.correct(vectors, right).items()}
    numbers |= {
        f"vision_{k}": v for k, v in model.vision_looks.correct(tokens.last_hidden_state.mean(1), right).items()
    }
    parts = torch.from_numpy(np.searchsorted(PARTS, np.stack([p for _, p in crops])))
    numbers["parser_pixels"] = float((model.faces.parser(plain).argmax(1) == parts).float().mean())
    pairs = F.normalize(vectors, dim=1).unflatten(0, (-1, VIEWS))
    same = torch.einsum("pvd,pwd->pvw", pairs, pairs)[:, *torch.triu_indices(VIEWS, VIEWS, 1)].flatten()
    other = torch.einsum("pd,qd->pq", pairs[:, 0], pairs[:, 1])
    other = other[~torch.eye(len(other), dtype=torch.bool)]
    threshold = torch.cat([same, other]).sort().values
    share = [(same >= t).float().mean() + (other < t).float().mean() for t in threshold[:: len(threshold) // 200]]
    numbers |= {"same_person": float(same.mean()), "other_person": float(other.mean()),
                "verification": float(max(share)) / 2}  # fmt: skip
    found, errors = 0, []
    for i, image in enumerate(data.images):
        faces = model.faces.detect(image)
        found += len(faces) == 1
        if faces:
            eyes = np.linalg.norm(data.landmarks[i][2] - data.landmarks[i][3]) + 1e-6
            errors.append(np.linalg.norm(faces[0].landmarks - data.landmarks[i], axis=1).mean() / max(eyes, 4))
    return numbers | {"found_one": found / len(data.images), "landmark_error": float(np.mean(errors or [9.0]))}


def train(rank: Rank, seconds: float, people: int) -> None:
    torch.manual_seed(0)
    data, test = Portraits("train", 4000, rank), Portraits("held_out", 150, rank)
    run = Run(STATE / "faces", seconds, rank)
    clips = open_clips("train")
    solids = np.array([i for i in range(400) if sample_scene(i, "train").person is None])
    clips = np.stack([clips[i] for i in solids])
    model = Faces().to(rank.device)
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "encoder.layers" in n]
    ids = {id(p) for p in matrices}
    both = optimizers(matrices, [p for p in model.parameters() if id(p) not in ids], 2e-3, 1.5e-3)
    learner = Learner(model, both, largest_gradient=2.0)
    if state := run.resume():
        learner.load(state)
    rng = np.random.default_rng((rank.index, run.step))
    losses: list[float] = []

    def save() -> None:
        run.save(**learner.state())

    while (progress := run.progress) < 1:
        set_learning_rate(both, trapezoid(progress, 0.02, 0.5))
        with autocast(rank.device):
            loss = step_loss(model, data, clips, rng, people // rank.world, rank.device)
        number = learner.step(rank, loss)
        run.step, run.samples = run.step + 1, run.samples + people
        losses.append(number)
        if run.step in (10, 50) or run.step % 200 == 0:
            run.note(loss=float(np.mean(losses[-200:])))
        if run.due():
            save()
    if rank.first:
        save()
        learner.finish()
        numbers = evaluate(model.cpu().eval(), test)
        run.note(**numbers)
        export(model, numbers)


def export(model: Faces, numbers: dict[str, float]) -> None:
    """Write both networks (fp16) and what was measured on held-out people."""
    model.faces.half().save_pretrained(WEIGHTS)
    model.vision.half().save_pretrained(VISION_WEIGHTS)
    report = {name: round(value, 4) for name, value in numbers.items()}
    (WEIGHTS / "accuracy.json").write_text(
        json.dumps({"held_out_people": 150, "views": VIEWS} | report, indent=1) + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=420)
    parser.add_argument("--people", type=int, default=32, help="people in a batch, two pictures each")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    launch(train, options.processes, options.seconds, options.people)


if __name__ == "__main__":
    main()
