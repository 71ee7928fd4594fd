"""CustomVideoX's claims in miniature: does a subject shown in one picture appear in a clip whose words leave it out?

    python -m tests.benchmark.customvideox_claims [--cases 200] [--unnamed] [--split test|tinted]
        [--set key=value] [--sheet FILE]

Each case is a scene whose colour x shape x motion training never showed (with `--split test`, one that it did show in
other scenes; with `--split tinted` a colour that has no name), a picture of its subject cut out of another
scene, pose and view, and a prompt that says what it is, "the cube", as the paper's prompts do, and nothing of its
looks; or, harder, calls it "the object". Arms, with paired seeds: words alone; reference
attention; with the fixed bias; with the time-aware bias; with the entity region as well; and, with no picture, words
that say the looks too. Beside them, renders of the scene with the subject (what could be reached) and with the next
case's subject (what chance gives).

Generated clips have no ground-truth mask, so the subject is judged: `subject` is the mean probability that the judge
gives to the subject's own colour, pattern and shape, `all three` the share of clips in which it names all of them.
`off colour`: how far the picture's own colour is from the nearest thirtieth of a frame's pixels, shading aside: the
distance of their shares of red, green and blue, in hundredths; it needs no names.
`prompt`: share of its right answers on motion, ground, sky and camera. `movement`: mean change between neighbouring
frames, in levels of 255. Intervals are 95%; differences are paired.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from models.pocket.judge import QUESTIONS, UNKNOWN, Judge, load_judge, truth
from models.pocket.recipes.dataset import TINTED
from models.pocket.world import Scene, caption, render_clip, sample_scene, tinted_scene
from models.pocket.world.cutouts import cutout
from models.pocket.world.sampling import is_held_out
from studio.presets import parse_values, preset_for, request_with
from studio.registry import Registry
from tests.benchmark.echovideo_claims import summary
from tests.benchmark.pocket_quality import FIRST_SEED, contact_sheet, save_sheet
from tests.benchmark.shares import share_out

SUBJECT = ("colour", "pattern", "shape")
PROMPTED = ("motion", "ground", "sky", "camera")
PICTURE_SIDE = 256
NEAREST, DARK = 1 / 30, 60  # share of a frame; sum of a pixel's red, green and blue too dark to have a colour


class Case:
    """A scene of a split with one solid, its picture, and words that leave its looks out."""

    def __init__(self, number: int, named: bool = True, split: str = "held_out") -> None:
        seeds = (FIRST_SEED + number + 100_000 * attempt for attempt in range(100))
        sampled = (tinted_scene(seed) if split == TINTED else sample_scene(seed, split, 0.0) for seed in seeds)
        scenes = map(_alone, sampled)
        # in a pair the other one may be what is held out
        self.scene = next(scene for scene in scenes if is_held_out(scene) == (split == "held_out"))
        self.picture = cutout(self.scene, np.random.default_rng((FIRST_SEED + number, 5)), PICTURE_SIDE)
        rng = np.random.default_rng(number)
        self.words = caption(
            self.scene, rng, omitted=0.0, subject=f"the {self.scene.solids[0].shape}" if named else "the object"
        )
        self.all_words = caption(self.scene, np.random.default_rng(number), omitted=0.0)

    @property
    def on_white(self) -> np.ndarray:
        return np.where(self.picture[..., 3:] > 0, self.picture[..., :3], np.uint8(255))


def _alone(scene: Scene) -> Scene:
    """The scene with its first solid only: a second one would make the judge ask which is meant."""
    return replace(scene, solids=(replace(scene.solids[0], place=(0.0, 0.0)),))


def off_colour(frames: np.ndarray, rgb: tuple[float, float, float]) -> float:
    """Distance of chromaticities, times 100, of a colour and of the pixels of each frame that are nearest to it."""
    pixels = frames.reshape(len(frames), -1, 3).astype(np.float32)
    total = pixels.sum(-1)
    away = np.linalg.norm(pixels / np.maximum(total, 1)[..., None] - np.array(rgb) / sum(rgb), axis=-1)
    away[total < DARK] = np.inf
    count = round(NEAREST * away.shape[1])
    return float(100 * np.sort(away, axis=1)[:, :count].mean())


@torch.no_grad()
def measure(frames: np.ndarray, scene: Scene, judge: Judge) -> dict[str, float]:
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float()[None] / 127.5 - 1
    logits, wanted = judge(pixels), truth(scene)
    chances = {question: logits[question][0].softmax(-1) for question in QUESTIONS}
    looks = [question for question in SUBJECT if wanted[question] != UNKNOWN]
    right = {q: float(chances[q].argmax() == wanted[q]) for q in (*looks, *PROMPTED)}
    if len(looks) == len(SUBJECT):
        right["all three"] = float(all(right[q] for q in looks))
    return right | {
        "subject": float(np.mean([float(chances[q][wanted[q]]) for q in looks])),
        "off colour": off_colour(frames, scene.solids[0].rgb),
        "prompt": float(np.mean([right[q] for q in PROMPTED])),
        "movement": float(np.abs(np.diff(frames.astype(np.float32), axis=0)).mean()),
    }


def rendered(scene: Scene, other: Scene | None = None) -> np.ndarray:
    """The clip the prompt asks for, with its subject or with another scene's."""
    if other:
        stranger = other.solids[0]
        looks = {name: getattr(stranger, name) for name in ("colour", "tint", "pattern", "shape")}
        scene = replace(scene, solids=(replace(scene.solids[0], **looks),))
    return render_clip(scene).frames


@dataclass(frozen=True)
class Arm:
    """One way of making the clips: what of the request changes."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    case: Callable[[int], Case] = Case
    told: bool = False  # words say the looks

    def run(self, numbers: Sequence[int]) -> list[tuple[dict[str, float], np.ndarray]]:
        """What is measured of each case, and its frames."""
        preset, judge = preset_for("customvideox", "pocket"), load_judge()
        made = []
        with tempfile.TemporaryDirectory() as folder, Registry("cpu").acquire(preset.recipe) as run:
            for number in numbers:
                case, path = self.case(number), Path(folder) / f"{number}.png"
                Image.fromarray(case.picture).save(path)
                words = case.all_words if self.told else case.words
                asked = {"prompt": words, "reference": path, "seed": case.scene.seed, "show_attention": False}
                request = request_with(preset.request, asked | self.changes)
                frames = run(request, lambda step: None)[0].frames
                made.append((measure(frames, case.scene, judge), frames))
        return made


PLAIN = {"time_aware_bias": False, "entity_region": False}
ARMS = (
    Arm("told", {"reference_attention": False}, told=True),
    Arm("none", {"reference_attention": False}),
    Arm("attention", PLAIN),
    Arm("fixed bias", {"time_aware_bias": True, "bias_curve": "fixed", "entity_region": False}),
    Arm("+ TAB", {"time_aware_bias": True, "entity_region": False}),
    Arm("+ ERAE", {"time_aware_bias": True, "entity_region": True}),
)
PAIRED = (("attention", "none"), ("+ TAB", "attention"), ("+ TAB", "fixed bias"), ("+ ERAE", "+ TAB"))
ORDER = ("subject", "all three", *SUBJECT, "off colour", "prompt", *PROMPTED, "movement")
COMPARED = ("subject", "all three", "off colour", "prompt", "movement")


def report(found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Print the table and the paired differences; both as data."""
    measured = found["render"][0]
    names = [name for name in ORDER if name in measured]
    rows = {arm: {name: summary([case[name] for case in cases]) for name in names} for arm, cases in found.items()}
    print(f"{'':12}" + "".join(f"{arm:>18}" for arm in found))
    for name in names:
        print(
            f"{name:12}"
            + "".join(f"{rows[arm][name]['mean']:10.3f} +-{rows[arm][name]['half']:5.3f}" for arm in found)
        )
    differences: dict[str, dict[str, Any]] = {}
    for later, earlier in PAIRED:
        if later in found and earlier in found:
            pairs = list(zip(found[later], found[earlier], strict=True))
            differences[f"{later} - {earlier}"] = {
                n: summary([a[n] - b[n] for a, b in pairs]) for n in COMPARED if n in measured
            }
    for words, row in differences.items():
        print(f"{words:24}" + ", ".join(f"{n} {v['mean']:+.3f} +- {v['half']:.3f}" for n, v in row.items()))
    return {"rows": rows, "differences": differences}


def sheet(cases: list[Case], clips: dict[str, list[np.ndarray]]) -> Image.Image:
    """Per case a row for each arm: the picture, then frames of the clip."""
    rows, words = [], []
    for number in range(len(next(iter(clips.values())))):
        picture = Image.fromarray(cases[number].on_white).resize((64, 64), Image.Resampling.LANCZOS)
        for arm, made in clips.items():
            frames = made[number][np.linspace(0, len(made[number]) - 1, 7).round().astype(int)]
            rows.append(np.concatenate([np.asarray(picture)[None], frames]))
            words.append(f"{arm}: {cases[number].words}")
    return contact_sheet(rows, words, columns=2 if len(clips) == 2 else 1, shown=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--unnamed", action="store_true", help='call every subject "the object"')
    parser.add_argument("--split", choices=("held_out", "test", TINTED), default="held_out")
    parser.add_argument("--set", action="append", default=[], metavar="key=value", help="for every arm")
    parser.add_argument("--arms", nargs="+", choices=[arm.name for arm in ARMS], default=[arm.name for arm in ARMS])
    parser.add_argument("--sheet", type=Path, help="write a contact sheet: picture, then each arm's frames")
    parser.add_argument("--shown", type=int, default=8, help="cases on the sheet, the first ones")
    options = parser.parse_args()
    values = parse_values(type(preset_for("customvideox", "pocket").request), options.set)
    case_of = partial(Case, named=not options.unnamed, split=options.split)
    arms = [replace(arm, changes=values | arm.changes, case=case_of) for arm in ARMS if arm.name in options.arms]
    judge, numbers = load_judge(), range(options.cases)
    cases = [case_of(number) for number in range(options.cases + 1)]
    scenes = [case.scene for case in cases]
    found = {
        "render": [measure(rendered(scenes[n]), scenes[n], judge) for n in numbers],
        "render, other": [measure(rendered(scenes[n], scenes[n + 1]), scenes[n], judge) for n in numbers],
    }
    clips: dict[str, list[np.ndarray]] = {}
    for arm in arms:
        made = share_out(arm.run, numbers)
        found[arm.name] = [measured for measured, _ in made]
        clips[arm.name] = [frames for _, frames in made[: options.shown]]
    numbers_found = report(found)
    if options.sheet:
        save_sheet(sheet(cases, clips), options.sheet)
    settings = {
        "benchmark": "customvideox_claims",
        "cases": options.cases,
        "named": not options.unnamed,
        "split": options.split,
        "set": options.set,
    }
    print(json.dumps(settings | numbers_found))


if __name__ == "__main__":
    main()
