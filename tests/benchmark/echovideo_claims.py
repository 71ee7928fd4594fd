"""EchoVideo's claims in miniature: does a person never seen stay who they are, without the picture being copied?

    python -m tests.benchmark.echovideo_claims [--cases 200] [--image-only FOLDER] [--sheet FILE]

Each case is a person whose identity training never showed, one picture of them in some pose and dress, and a prompt
that leaves their looks unsaid. Arms, with paired seeds: identity fusion on; off (the same network, nobody's face in
the words); with --image-only a network trained as long with the picture in its first frame and no fusion. Beside them,
renders of the same scene with the same person (what could be reached) and with another person (what chance gives).

Identity: cosine of the recogniser's vectors, clip against picture, over frames with a face. Looks: the judge's
answers on skin, hair, glasses and beard against the person. Prompt: its answers on dress, action and wall. Pose
spread: standard deviation over the frames of the nose's place between the eyes; pose copied: correlation of a clip's
mean pose with the picture's over all cases, 0 when nothing is copied.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from models.common.faces import NoFaceError, extract_face
from models.pocket.faces import ALIGNED_SIDE, WEIGHTS, PocketFaces
from models.pocket.judge import UNKNOWN, Judge, answers, load_judge, truth
from models.pocket.world import Scene, caption, render_clip, sample_scene
from models.pocket.world.portraits import portrait
from studio.presets import preset_for, request_with
from studio.registry import Registry
from tests.benchmark.pocket_quality import FIRST_SEED, contact_sheet, save_sheet
from tests.benchmark.shares import share_out

LOOKS = ("skin", "hair style", "hair colour", "glasses", "beard")
PROMPTED = ("hat", "shirt", "action", "wall")
PICTURE_SIDE = 256


class Case:
    """A scene with a held-out person, and one other picture of them in which a face is found."""

    def __init__(self, number: int, faces: PocketFaces) -> None:
        self.scene = sample_scene(FIRST_SEED + number, "held_out", 1.0)
        assert self.scene.person is not None
        rng = np.random.default_rng((FIRST_SEED + number, 5))
        self.words = caption(self.scene, np.random.default_rng(number), omitted=0.0, anonymous=True)
        while True:
            self.picture = portrait(self.scene.person, rng, PICTURE_SIDE).image
            try:
                self.face = extract_face(self.picture, faces, faces.parse, size=ALIGNED_SIDE)  # pyright: ignore[reportArgumentType]
            except NoFaceError:
                continue
            found = faces.detect(self.picture)
            if found:
                self.pose = pose_of(found[0].landmarks)
                return


def pose_of(landmarks: np.ndarray) -> float:
    """Where the nose stands between the eyes: 0 in the middle, about -1 and 1 above an eye."""
    left, right, nose = landmarks[:3]
    across = right - left
    return float(np.clip(2 * ((nose - left) @ across) / (across @ across + 1e-6) - 1, -3, 3))


def measure(frames: np.ndarray, case: Case, faces: PocketFaces, judge: Judge) -> dict[str, float]:
    vectors, poses = [], []
    for frame in frames[::2]:
        found = faces.detect(frame)
        if found:
            face = max(found, key=lambda one: one.area)
            vectors.append(face.identity / np.linalg.norm(face.identity))
            poses.append(pose_of(face.landmarks))
    reference = case.face.identity / np.linalg.norm(case.face.identity)
    numbers = {
        "identity": float((np.stack(vectors) @ reference).mean()) if vectors else 0.0,
        "face found": len(vectors) / len(frames[::2]),
        "pose spread": float(np.std(poses)) if poses else 0.0,
        "pose": float(np.mean(poses)) if poses else 0.0,
        "movement": float(np.abs(np.diff(frames.astype(np.float32), axis=0)).mean()),
    }
    seen, wanted = answers(judge, torch.from_numpy(frames)), truth(case.scene)
    for name, questions in (("looks", LOOKS), ("prompt", PROMPTED)):
        asked = [q for q in questions if wanted[q] != UNKNOWN]
        numbers[name] = float(np.mean([seen[q] == wanted[q] for q in asked]))
    for question in (*LOOKS, *PROMPTED):
        if wanted[question] != UNKNOWN:
            numbers[question] = float(seen[question] == wanted[question])
    return numbers


def rendered(case: Case, other: bool) -> np.ndarray:
    """The clip the prompt asks for, with the person or with the next case's."""
    scene: Scene = case.scene
    if other:
        stranger = sample_scene(scene.seed + 7919, "held_out", 1.0).person
        assert scene.person is not None
        assert stranger is not None
        looks = {name: getattr(stranger, name)
                 for name in ("skin", "hair_colour", "hair_style", "eyes", "glasses", "beard", "build")}  # fmt: skip
        scene = replace(scene, person=replace(scene.person, **looks))
    return render_clip(scene).frames


def summary(values: list[float]) -> dict[str, Any]:
    """Mean and half of its 95% interval."""
    data = np.asarray(values)
    return {"mean": round(float(data.mean()), 4),
            "half": round(float(1.96 * data.std(ddof=1) / np.sqrt(len(data))), 4), "n": len(data)}  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """One way of making the clips: another transformer or none, and what of the request changes."""

    name: str
    identity_fusion: bool
    transformer: str = ""

    def run(self, numbers: Sequence[int]) -> list[tuple[dict[str, float], np.ndarray]]:
        """What is measured of each case, and its frames."""
        preset, judge, faces = preset_for("echovideo", "pocket"), load_judge(), load_faces()
        weights = replace(preset.weights, transformer=self.transformer) if self.transformer else preset.weights
        made = []
        with tempfile.TemporaryDirectory() as folder, Registry("cpu").acquire(preset.method.recipe(weights)) as run:
            for number in numbers:
                case, path = Case(number, faces), Path(folder) / f"{number}.png"
                Image.fromarray(case.picture).save(path)
                asked = {"prompt": case.words, "face": path, "seed": case.scene.seed}
                request = request_with(preset.request, asked | {"identity_fusion": self.identity_fusion})
                frames = run(request, lambda step: None)[0].frames
                made.append((measure(frames, case, faces, judge), frames))
        return made


def load_faces() -> PocketFaces:
    return PocketFaces.from_pretrained(WEIGHTS).float().eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--image-only", type=Path, help="transformer trained with --stage image_only")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet: picture, what is seen of it, each arm")
    parser.add_argument("--shown", type=int, default=12, help="cases on the sheet")
    options = parser.parse_args()
    judge, faces = load_judge(), load_faces()
    cases = [Case(i, faces) for i in range(options.cases)]
    arms = [Arm("fusion on", True), Arm("fusion off", False)]
    if options.image_only:
        arms.append(Arm("image only", False, str(options.image_only.resolve())))
    found = {
        "render, same person": [measure(rendered(case, False), case, faces, judge) for case in cases],
        "render, another": [measure(rendered(case, True), case, faces, judge) for case in cases],
    }
    clips: dict[str, list[np.ndarray]] = {}
    for arm in arms:
        made = share_out(arm.run, range(options.cases))
        found[arm.name] = [numbers for numbers, _ in made]
        clips[arm.name] = [frames for _, frames in made[: options.shown]]
    rows = report(found, np.array([case.pose for case in cases]))
    if options.sheet:
        save_sheet(sheet(cases, clips), options.sheet)
    print(json.dumps({"benchmark": "echovideo_claims", "cases": len(cases), "rows": rows}))


def report(found: dict[str, list[dict[str, float]]], reference_pose: np.ndarray) -> dict[str, dict[str, Any]]:
    """Print the table; arm -> measure -> mean, half interval, count. Paired differences are against fusion on."""
    rows: dict[str, dict[str, Any]] = {}
    names = ("identity", "looks", *LOOKS, "prompt", *PROMPTED, "pose spread", "movement", "face found")
    print(f"{'':14}" + "".join(f"{arm:>22}" for arm in found))
    for name in names:
        line = f"{name:14}"
        for arm, cases in found.items():
            row = summary([case[name] for case in cases if name in case])
            if arm not in ("fusion on",) and name in ("identity", "looks", "prompt"):
                pairs = [a[name] - b[name] for a, b in zip(found["fusion on"], cases, strict=True)]
                row["fusion on minus this"] = summary(pairs)
            rows.setdefault(arm, {})[name] = row
            line += f"{row['mean']:14.3f} +- {row['half']:.3f}"
        print(line)
    for arm, cases in found.items():
        correlation = float(np.corrcoef([case["pose"] for case in cases], reference_pose)[0, 1])
        rows[arm]["pose copied"] = round(correlation, 3)
        print(f"pose copied, {arm}: {correlation:+.3f}")
    return rows


def sheet(cases: list[Case], clips: dict[str, list[np.ndarray]]) -> Image.Image:
    """Per case the picture and what the network sees of it, then each arm's frames."""
    rows, words = [], []
    for number in range(len(next(iter(clips.values())))):
        picture = np.asarray(Image.fromarray(cases[number].picture).resize((64, 64), Image.Resampling.LANCZOS))
        for arm, made in clips.items():
            shown = made[number][np.linspace(0, len(made[number]) - 1, 6).round().astype(int)]
            rows.append(np.concatenate([picture[None], cases[number].face.picture[None], shown]))
            words.append(f"{arm}: {cases[number].words}")
    return contact_sheet(rows, words, shown=8)


if __name__ == "__main__":
    main()
