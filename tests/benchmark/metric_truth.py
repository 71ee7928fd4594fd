"""What each metric is worth: its rank correlation with the truth it stands for, on renders of the world.

    python -m tests.benchmark.metric_truth [--cases 120] [metric ...]

A render is disturbed by a known amount, drawn at random; the metric sees the clip only. Spearman's correlation with
the amount, 95% bootstrap intervals. The sign is turned so that 1 is perfect for every metric.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from models.method import Clip
from models.pocket.world import Scene, caption, render_clip, sample_scene
from models.pocket.world import cameras as world_cameras
from models.pocket.world import scene as names
from models.pocket.world.portraits import portrait
from studio.metrics import METRICS, Facts, measure
from studio.metrics.intervals import rank_correlation
from tests.unit.studio.metrics.scenes import blurred, noisy, orbit_pair, world_facts
from tests.unit.studio.metrics.test_world import turn

FIRST_SEED = 4_000_000
Case = tuple[float, float | None]  # the truth, the more the worse (or faster), and the metric's number


def _value(name: str, clips: list[Clip], facts: Facts) -> float | None:
    return measure(clips, facts, [name])[0].value


def _scene(seed: int, people: float = 0.0, **wanted: str) -> Scene:
    """A scene of the seed; with `wanted`, the first from there on whose camera begins so."""
    while True:
        scene = sample_scene(seed, "test", people)
        if scene.camera.startswith(wanted.get("camera", "")) and (people or len(scene.solids) == 1):
            return scene
        seed += 1_000_000


def consistency(seed: int, rng: np.random.Generator) -> Case:
    """Frames of which a share is shifted by up to 4 pixels at random: jitter that no motion explains."""
    clip, amount = render_clip(_scene(seed, 0.4)).frames, rng.uniform(0, 0.6)
    torn = clip.copy()
    for frame in torn:
        for row in range(0, 64, 8):
            for column in range(0, 64, 8):
                if rng.random() < amount:
                    block = frame[row : row + 8, column : column + 8]
                    block[:] = np.roll(block, rng.integers(1, 5, 2), (0, 1))
    return amount, _value("consistency", [Clip(torn, 8)], Facts())


def flicker(seed: int, rng: np.random.Generator) -> Case:
    """Brightness that alternates by a known number of levels."""
    clip, amount = render_clip(_scene(seed, 0.4)).frames, rng.uniform(0, 20)
    jumps = amount * (-1) ** np.arange(len(clip))[:, None, None, None]
    return amount, _value("flicker", [Clip(np.clip(clip + jumps, 0, 255).astype(np.uint8), 8)], Facts())


def motion(seed: int, rng: np.random.Generator) -> Case:
    """Cameras that move by known amounts over still scenes: the truth is the flow from depth and poses."""
    scene = _scene(seed, camera=str(rng.choice(["pans", "orbits", "moves"])))
    still = replace(scene, solids=(replace(scene.solids[0], motion="still"),), amount=float(rng.uniform(0, 2)))
    clip = render_clip(still)
    grid = np.stack(np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5), -1)
    rays = np.concatenate([grid, np.ones((64, 64, 1))], -1) @ np.linalg.inv(clip.intrinsics).T
    speeds = []
    for frame in range(1, 20):
        step = np.linalg.inv(clip.poses[frame - 1]) @ clip.poses[frame]
        depth = np.where(clip.depth[frame] > 0, clip.depth[frame], 1e4)
        seen = (rays * depth[..., None]) @ step[:3, :3].T + step[:3, 3]
        image = seen @ clip.intrinsics.T
        speeds.append(np.percentile(np.linalg.norm(image[..., :2] / image[..., 2:] - grid, axis=-1), 95))
    return float(np.mean(speeds)), _value("motion", [Clip(clip.frames, 8)], Facts())


def sharpness(seed: int, rng: np.random.Generator) -> Case:
    """Blur of known width, or noise of known strength, of one picture: compared with the same picture untouched."""
    clip = Clip(render_clip(_scene(seed, 0.4), 2).frames, 8)
    amount = rng.uniform(0, 1)
    worse = blurred(clip, 0.1 + 3 * amount) if rng.random() < 0.5 else noisy(clip, 20 * amount, seed)
    own, less = (_value("sharpness", [shown], Facts()) for shown in (clip, worse))
    return amount, (less or 0.0) / own if own else None


def text(seed: int, rng: np.random.Generator) -> Case:
    """Captions of which a known share of words about a solid is wrong."""
    scene = _scene(seed)
    solid, wrong = scene.solids[0], int(rng.integers(0, 5))
    choices = {"shape": names.SHAPES, "colour": tuple(names.COLOURS), "motion": names.MOTIONS}
    places = {"ground": names.GROUNDS, "sky": names.SKIES}
    told = scene
    for question in rng.permutation([*choices, *places])[:wrong]:
        if question in places:
            told = replace(told, **{question: _other(rng, places[question], getattr(scene, question))})
        else:
            other = _other(rng, choices[question], getattr(solid, question))
            told = replace(told, solids=(replace(told.solids[0], **{question: other}),))
    clip = Clip(render_clip(scene).frames, 8)
    return wrong, _value("text", [clip], Facts(caption(told), world=True))


def identity(seed: int, rng: np.random.Generator) -> Case:
    """References of people who differ from the clip's in a known number of traits."""
    scene = _scene(seed, 1.0)
    assert scene.person is not None
    person, changed = scene.person, int(rng.integers(0, 5))
    traits = {"skin": tuple(names.SKINS), "hair_colour": tuple(names.HAIR_COLOURS), "eyes": tuple(names.EYES),
              "glasses": (False, True), "beard": (False, True)}  # fmt: skip
    for trait in rng.permutation(list(traits))[:changed]:
        person = replace(person, **{trait: _other(rng, traits[trait], getattr(person, trait))})
    with tempfile.TemporaryDirectory() as folder:
        face = Path(folder) / "face.png"
        Image.fromarray(portrait(person).image).save(face)
        clip = Clip(render_clip(scene).frames[::4], 8)
        return changed, _value("identity", [clip], Facts(face=face, world=True))


def subject(seed: int, rng: np.random.Generator) -> Case:
    """References of solids that differ from the clip's in a known number of looks."""
    scene = _scene(seed)
    solid, changed = scene.solids[0], int(rng.integers(0, 4))
    looks = {"shape": names.SHAPES, "colour": tuple(names.COLOURS), "pattern": names.PATTERNS}
    other = replace(solid, motion="still", turn=float(rng.uniform(-0.9, 0.9)))
    for look in rng.permutation(list(looks))[:changed]:
        other = replace(other, **{look: _other(rng, looks[look], getattr(solid, look))})
    rest = replace(scene, solids=(other,), camera="still", ground=str(rng.choice(names.GROUNDS)))
    picture = render_clip(rest, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "subject.png"
        cut = np.where((picture.mask[0] == 1)[..., None], picture.frames[0], np.uint8(255))
        Image.fromarray(cut).save(path)
        clip = Clip(render_clip(scene).frames[::4], 8)
        return changed, _value("subject", [clip], Facts(subject=path, world=True))


def cross_view(seed: int, rng: np.random.Generator) -> Case:
    """Two views 8 to 20 degrees apart, one camera said to be rolled by a known angle it is not."""
    views = orbit_pair(_scene(seed), float(rng.uniform(8, 20)), 2)
    facts, degrees = world_facts(views), float(rng.uniform(0, 10))
    assert facts.camera_to_world is not None
    poses = facts.camera_to_world.copy()
    poses[1] = poses[1] @ turn(degrees, axis=2)
    return degrees, _value("cross_view", [Clip(v.frames, 8) for v in views], replace(facts, camera_to_world=poses))


def camera(seed: int, rng: np.random.Generator) -> Case:
    """A clip whose path is a known blend from the one asked for (0) to its opposite (1)."""
    scene = _scene(seed, camera=str(rng.choice(["pans", "orbits", "moves"])))
    still = replace(scene, solids=(replace(scene.solids[0], motion="still"),))
    asked, blend = world_cameras.path(scene.camera, 20, scene.amount), float(rng.uniform(0, 1))
    clip = render_clip(replace(still, amount=scene.amount * (1 - 2 * blend)))
    facts = replace(world_facts([clip]), camera_to_world=asked[None])
    return blend, _value("camera", [Clip(clip.frames, 8)], facts)


def _other(rng: np.random.Generator, options: tuple, known: object) -> object:
    rest = [option for option in options if option != known]
    return rest[rng.integers(len(rest))]


TRUTHS: dict[str, Callable[[int, np.random.Generator], Case]] = {
    "text": text, "identity": identity, "subject": subject, "cross_view": cross_view, "camera": camera,
    "consistency": consistency, "flicker": flicker, "motion": motion, "sharpness": sharpness,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("metrics", nargs="*", metavar="metric", help=f"of {', '.join(TRUTHS)}; all by default")
    parser.add_argument("--cases", type=int, default=120)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    logging.disable(logging.WARNING)
    rows = []
    for name in options.metrics or TRUTHS:
        cases = [TRUTHS[name](FIRST_SEED + i, np.random.default_rng(i)) for i in range(options.cases)]
        known = [(truth, value) for truth, value in cases if value is not None]
        sign = 1 if name == "motion" or METRICS[name].better == "lower" else -1
        found = rank_correlation([truth for truth, _ in known], [sign * value for _, value in known])
        least = [value for truth, value in known if truth <= np.percentile([t for t, _ in known], 20)]
        most = [value for truth, value in known if truth >= np.percentile([t for t, _ in known], 80)]
        row = {
            "metric": name, "cases": found.count, "left_out": len(cases) - len(known),
            "rank_correlation": round(found.value, 3), "low": round(found.low, 3), "high": round(found.high, 3),
            "least_disturbed": round(float(np.median(least)), 3), "most_disturbed": round(float(np.median(most)), 3),
        }  # fmt: skip
        rows.append(row)
        print(
            f"{name:12} {found.value:6.3f}  ({found.low:.3f} .. {found.high:.3f})  n={found.count}"
            f"  least {row['least_disturbed']}  most {row['most_disturbed']}",
            flush=True,
        )
    print(json.dumps({"benchmark": "metric_truth", "rows": rows}))


if __name__ == "__main__":
    main()
