"""The world's judge: a small network, trained on renders only, that names what a clip shows."""

from __future__ import annotations

import itertools
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn

from models.pocket.world import scene as names
from models.pocket.world.scene import Scene

WEIGHTS = Path(__file__).parent / "weights" / "judge" / "model.safetensors"
SOLID_QUESTIONS = {
    "shape": names.SHAPES,
    "colour": tuple(names.COLOURS),
    "pattern": names.PATTERNS,
    "motion": names.MOTIONS,
    "ground": names.GROUNDS,
    "sky": names.SKIES,
    "camera": names.CAMERAS,
    "count": ("one", "two"),
    "second shape": names.SHAPES,
    "second colour": tuple(names.COLOURS),
}
PERSON_QUESTIONS = {
    "skin": tuple(names.SKINS),
    "hair style": names.HAIR_STYLES,
    "hair colour": tuple(names.HAIR_COLOURS),
    "glasses": ("no", "yes"),
    "beard": ("no", "yes"),
    "hat": names.HATS,
    "shirt": tuple(names.COLOURS),
    "action": names.ACTIONS,
    "wall": tuple(names.WALLS),
}
QUESTIONS = {"kind": ("solids", "person")} | SOLID_QUESTIONS | PERSON_QUESTIONS
UNKNOWN = -1


def truth(scene: Scene) -> dict[str, int]:
    """Question -> index of the right answer, UNKNOWN where the question does not apply or the colour has no name.

    With two solids "shape", "colour" and "pattern" ask about the one that may move (the first in the caption) when it
    does; with both at rest they ask about the left one, since nothing else tells them apart.
    """
    answers = dict.fromkeys(QUESTIONS, UNKNOWN)
    person = scene.person
    if person is not None:
        said = {
            "kind": "person", "skin": person.skin, "hair style": person.hair_style,
            "glasses": "yes" if person.glasses else "no", "beard": "yes" if person.beard else "no", "hat": person.hat,
            "shirt": person.shirt, "action": person.action, "wall": scene.wall,
        }  # fmt: skip
        if person.hair_style != "bald":
            said["hair colour"] = person.hair_colour
    else:
        solids = list(scene.solids)
        if len(solids) == 2 and solids[0].motion == "still":
            solids.sort(key=lambda solid: solid.place[0])
        first = solids[0]
        said = {
            "kind": "solids", "shape": first.shape, "colour": first.colour, "pattern": first.pattern,
            "motion": scene.solids[0].motion, "ground": scene.ground, "sky": scene.sky, "camera": scene.camera,
            "count": "two" if len(solids) == 2 else "one",
        }  # fmt: skip
        if len(solids) == 2:
            said |= {"second shape": solids[1].shape, "second colour": solids[1].colour}
    return answers | {question: QUESTIONS[question].index(answer) for question, answer in said.items() if answer}


class Judge(nn.Module):
    """Per-frame convolutions, then two attention layers over time; one linear head per question."""

    def __init__(self, dim: int = 160, max_frames: int = 20) -> None:
        super().__init__()
        widths = (3, 24, 40, 72, 112)
        layers: list[nn.Module] = []
        for width, following in itertools.pairwise(widths):
            layers += [nn.Conv2d(width, following, 3, stride=2, padding=1), nn.GroupNorm(8, following), nn.SiLU()]
        self.frames = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * 16, dim))
        self.time = nn.Parameter(torch.randn(max_frames, dim) * 0.02)
        layer = nn.TransformerEncoderLayer(dim, 4, 2 * dim, 0.0, "gelu", batch_first=True, norm_first=True)
        self.over_time = nn.TransformerEncoder(layer, 2, nn.LayerNorm(dim), enable_nested_tensor=False)
        self.heads = nn.ModuleDict({q.replace(" ", "_"): nn.Linear(dim, len(a)) for q, a in QUESTIONS.items()})

    def forward(self, clips: Float[Tensor, "batch frames 3 height width"]) -> dict[str, Tensor]:
        """Logits per question, each [batch, answers]; pixels in [-1, 1], 64x64."""
        batch, count = clips.shape[:2]
        tokens = self.frames(clips.flatten(0, 1)).unflatten(0, (batch, count)) + self.time[:count]
        summary = self.over_time(tokens).mean(1)
        return {q: self.heads[q.replace(" ", "_")](summary) for q in QUESTIONS}


def load_judge() -> Judge:
    judge = Judge()
    judge.load_state_dict({k: v.float() for k, v in load_file(WEIGHTS).items()})
    return judge.eval()


@torch.no_grad()
def answers(judge: Judge, clip: UInt8[Tensor, "frames height width 3"]) -> dict[str, int]:
    """What the judge sees in one clip: question -> index of its answer."""
    pixels = clip.permute(0, 3, 1, 2).float()[None] / 127.5 - 1
    return {question: int(logits.argmax()) for question, logits in judge(pixels).items()}
