"""Train the judge on renders (slightly blurred, noisy and tinted, so that it reads imperfect clips too).

It is shown what no generator is: held-out combinations, as often as the others, and colours without a name. A judge
that knew only what generators know would share their prejudice, and call a half-clear yellow ring a can.
    python -m models.pocket.recipes.judge --seconds 900
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from models.pocket.judge import QUESTIONS, UNKNOWN, WEIGHTS, Judge, truth
from models.pocket.recipes.autoencoder import to_model
from models.pocket.recipes.dataset import STATE, TINTED, open_clips, scene_of
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

TESTED = 400  # the last renders of a kind that also trains
PER_TRAIN_CLIP = 0.106  # held-out renders in training: of scenes drawn freely 9.6% of 100 are held out


class Renders:
    """Clips of several kinds, memory-mapped, and what each shows."""

    def __init__(self, parts: Mapping[str, slice]) -> None:
        """`parts`: which clips of each kind."""
        stored = {kind: open_clips(kind) for kind in parts}
        self.places = [(stored[kind], kind, i) for kind, part in parts.items() for i in range(len(stored[kind]))[part]]
        self.known = torch.tensor([list(truth(scene_of(kind, i)).values()) for _, kind, i in self.places])

    def __len__(self) -> int:
        return len(self.places)

    def clips(self, chosen: np.ndarray) -> Tensor:
        """uint8 [len(chosen), frames, height, width, 3]"""
        places = [self.places[i] for i in chosen]
        return torch.from_numpy(np.stack([clips[i] for clips, _, i in places]))


def disturb(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """What a decoder or a weak generator does to a clip: blur, noise, a small shift of colour and place."""
    batch, frames = pixels.shape[:2]
    flat = pixels.flatten(0, 1)
    if rng.random() < 0.5:
        weight = float(rng.uniform(0.3, 1.0))
        flat = torch.lerp(flat, F.avg_pool2d(F.pad(flat, (1, 1, 1, 1), mode="replicate"), 3, 1), weight)
    dx, dy = (int(v) for v in rng.integers(-3, 4, 2))
    flat = torch.roll(flat, (dy, dx), (-2, -1))
    pixels = flat.unflatten(0, (batch, frames))
    tint = torch.from_numpy(rng.uniform(-0.06, 0.06, (batch, 1, 3, 1, 1))).to(pixels)
    noise = torch.randn_like(pixels) * float(rng.uniform(0, 0.10))
    return (pixels * float(rng.uniform(0.92, 1.08)) + tint + noise).clamp(-1, 1)


def freeze(pixels: Tensor, right: Tensor, rng: np.random.Generator, share: float = 0.15) -> tuple[Tensor, Tensor]:
    """Some clips stopped at one frame, and told so: a judge must see movement, not guess it from where things are."""
    pixels, right = pixels.clone(), right.clone()
    questions = list(QUESTIONS)
    motion, camera, action = (questions.index(q) for q in ("motion", "camera", "action"))
    for index in np.flatnonzero(rng.random(len(pixels)) < share):
        pixels[index] = pixels[index, int(rng.integers(pixels.shape[1]))].clone()
        if right[index, motion] != UNKNOWN:
            right[index, motion] = QUESTIONS["motion"].index("still")
            right[index, camera] = QUESTIONS["camera"].index("still")
        if right[index, questions.index("second shape")] != UNKNOWN:  # nothing moves: which of the two was meant?
            for which in ("shape", "colour", "pattern", "second shape", "second colour"):
                right[index, questions.index(which)] = UNKNOWN
        right[index, action] = UNKNOWN
    return pixels, right


@torch.no_grad()
def accuracy(judge: Judge, renders: Renders, device: torch.device) -> dict[str, float]:
    right = []
    for part in np.array_split(np.arange(len(renders)), len(renders) // 16):
        logits = judge(to_model(renders.clips(part).to(device)))
        right.append(torch.stack([logits[q].argmax(1).cpu() for q in QUESTIONS], 1) == renders.known[part])
    right = torch.cat(right).float()
    asked = (renders.known != UNKNOWN).float()
    counts = asked.sum(0)
    share = (right * asked).sum(0) / counts.clamp_min(1)
    return {question: float(share[i]) for i, question in enumerate(QUESTIONS) if counts[i]}


def train(rank: Rank, seconds: float, batch: int) -> None:
    torch.manual_seed(0)
    run = Run(STATE / "judge", seconds, rank)
    shown = min(round(PER_TRAIN_CLIP * len(open_clips("train"))), len(open_clips("held_out")) - TESTED)
    renders = Renders({"train": slice(None), "held_out": slice(shown), TINTED: slice(-TESTED)})
    judge = Judge().to(rank.device)
    matrices = [p for n, p in judge.named_parameters() if p.ndim == 2 and "over_time" in n]
    ids = {id(p) for p in matrices}
    both = optimizers(matrices, [p for p in judge.parameters() if id(p) not in ids], 2e-3, 1.5e-3)
    learner = Learner(judge, both)
    if state := run.resume():
        learner.load(state)
    rng = np.random.default_rng((rank.index, run.step))

    def save() -> None:
        run.save(**learner.state())

    losses = []
    while (progress := run.progress) < 1:
        set_learning_rate(both, trapezoid(progress, 0.02, 0.5))
        chosen = np.sort(rng.integers(len(renders), size=batch // rank.world))
        pixels, right = freeze(to_model(renders.clips(chosen)), renders.known[chosen], rng)
        pixels, right = disturb(pixels.to(rank.device), rng), right.to(rank.device)
        with autocast(rank.device):
            logits = judge(pixels)
        asked = [F.cross_entropy(logits[q].float(), right[:, i], ignore_index=UNKNOWN, reduction="sum")
                 for i, q in enumerate(QUESTIONS)]  # fmt: skip
        loss = torch.stack(asked).sum() / (right != UNKNOWN).sum()
        number = learner.step(rank, loss)
        run.step, run.samples = run.step + 1, run.samples + batch
        losses.append(number)
        if run.step in (20, 100) or run.step % 250 == 0:
            run.note(loss=float(np.mean(losses[-250:])))
        if run.due():
            save()
    if rank.first:
        save()
        learner.finish()
        WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
        save_file({k: v.half().contiguous() for k, v in judge.state_dict().items()}, WEIGHTS)
        report = {}
        for kind in ("test", "held_out", TINTED):
            unseen = Renders({kind: slice(-TESTED, None)})
            scores = accuracy(judge.eval(), unseen, rank.device)
            report[kind] = {"renders": len(unseen), "accuracy": {k: round(v, 4) for k, v in scores.items()}}
        WEIGHTS.with_name("accuracy.json").write_text(json.dumps(report, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    launch(train, options.processes, options.seconds, options.batch)


if __name__ == "__main__":
    main()
