"""CVD's claims in miniature: do several views show the same scene, seen from where they should?

    python -m tests.benchmark.cvd_claims [--cases 200] [--few 24] [--steps 12] [--sheet FILE]

Paired: the same scenes of the test split (solids, never trained on), captions, cameras and first noise, with
synchronisation and without. Per case: colour error, the mean difference (of 255) of points that are the same in the
world's own geometry, at the same moment; tracked points, share of SIFT matches between views within 6 pixels (of 256)
of their true epipolar line; camera error, the median distance of matches between a view's first and last frame from
the lines of the camera it was told (still scenes only). Renders of the same scenes stand beside, as what could be
reached. Two views for all cases; 4 and 6 views for the first few, with one pairing a step. Also: two identical paths,
the mean squared difference of the two videos (the paper: 0.01 with, 0.07 without). Intervals are 95%.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.common import cameras as geometry
from models.common.animatediff.frames import decode_frames, draw_latents
from models.common.animatediff.prompts import encode_prompts
from models.cvd.cameras import ViewCameras
from models.cvd.epipolar_attention import EpipolarBias, random_slopes
from models.cvd.pipeline import SCHEDULE
from models.cvd.pose_encoder import CameraPoseEncoder
from models.cvd.sampler import GeneratorDraws, Schedule, ViewDenoiser
from models.pocket.recipes.camera_scenes import FRAMES, LENS, film, random_path, solid_scene, words
from models.pocket.recipes.cvd import WEIGHTS, trained_network
from models.pocket.recipes.mcm import Base
from models.pocket.recipes.training import autocast
from models.pocket.world import Scene
from models.pocket.world.clip import SIDE
from tests.benchmark.cross_view import NEAR, colour_error, correspondence, epipolar_distances, tracked_points
from tests.benchmark.echovideo_claims import summary
from tests.benchmark.pocket_quality import FIRST_SEED, contact_sheet, save_sheet
from tests.benchmark.repvideo_claims import paired
from tests.benchmark.shares import share_out

GUIDANCE = 4.0
ARMS = ("synchronised", "alone", "renders")


@dataclass(frozen=True)
class Case:
    """A scene and its views. Even cases stand still, odd ones move; `same` gives every view the first one's path."""

    number: int
    num_views: int = 2
    same: bool = False

    @property
    def scene(self) -> Scene:
        return solid_scene(FIRST_SEED + self.number, "test", still=self.number % 2 == 0)

    @property
    def paths(self) -> np.ndarray:
        rng = np.random.default_rng((FIRST_SEED + self.number, 3))
        paths = np.stack([random_path(rng) for _ in range(self.num_views)])
        return np.stack([paths[0]] * self.num_views) if self.same else paths

    @property
    def cameras(self) -> ViewCameras:
        return ViewCameras(self.paths, np.tile(LENS, (self.num_views, FRAMES, 1)))


@dataclass(frozen=True)
class Arm:
    """Views synchronised, each alone, or rendered."""

    name: str
    steps: int = 12

    def run(self, cases: Sequence[Case]) -> list[np.ndarray]:
        """uint8 [views, frames, height, width, 3] of every case."""
        if self.name == "renders":
            return [np.stack([film(case.scene, path) for path in case.paths]) for case in cases]
        base = Base(torch.device("cpu"))
        unet = trained_network()
        poses: Any = CameraPoseEncoder.from_pretrained(str(WEIGHTS / "pose_encoder"), dtype=torch.float32).eval()
        return [self.views(base, unet, poses, case) for case in cases]

    @torch.inference_mode()
    def views(self, base: Base, unet: Any, pose_encoder: Any, case: Case) -> np.ndarray:
        generator = torch.Generator().manual_seed(FIRST_SEED + case.number)
        latents = draw_latents(unet, base.vae, case.num_views, FRAMES, SIDE, SIDE, generator)
        with autocast(base.device):
            matrices = {v: torch.from_numpy(m) for v, m in case.cameras.fundamental_matrices().items()}
            bias = EpipolarBias(matrices, (SIDE, SIDE), random_slopes(generator))
            denoiser = ViewDenoiser(
                unet=unet,
                text=encode_prompts(base.tokenizer, base.text_encoder, ["", words(case.scene)]),
                pose_features=pose_encoder(torch.from_numpy(case.cameras.rays(SIDE, SIDE))),
                bias=bias if self.name == "synchronised" else None,
                guidance_scale=GUIDANCE,
            )
            scheduler: Any = type(base.scheduler).from_config(base.scheduler.config, **SCHEDULE)
            scheduler.set_timesteps(self.steps)
            draws = GeneratorDraws(generator)
            latents = denoiser.denoise(latents, scheduler, Schedule(), draws, lambda *_: None)
            return decode_frames(base.vae, latents.float())


def measure(case: Case, views: np.ndarray) -> dict[str, float]:
    """Means over neighbouring views."""
    numbers: dict[str, list[float]] = {"colour error": []}
    matrices = case.cameras.fundamental_matrices()
    for one in range(case.num_views - 1):
        paths = case.paths[one : one + 2]
        numbers["colour error"].append(colour_error(views[one], views[one + 1], *correspondence(case.scene, paths)))
        for frame in range(3, FRAMES, 4):
            matches = tracked_points(views[one, frame], views[one + 1, frame])
            if len(matches) and np.abs(matrices[one, one + 1][frame]).max() > 1e-9:
                near = epipolar_distances(matches, matrices[one, one + 1][frame]) < NEAR
                numbers.setdefault("tracked points", []).append(float(near.mean()))
    if case.number % 2 == 0:
        for view, path in zip(views, case.paths, strict=True):
            ends = np.stack([path[:1], path[-1:]])
            lens = geometry.intrinsic_matrices(np.tile(LENS, (2, 1, 1)))
            matrix = geometry.fundamental_matrices_between(ends, lens)[0, 1][0]
            matches = tracked_points(view[0], view[-1])
            if len(matches) and np.abs(matrix).max() > 1e-9:
                numbers.setdefault("camera error", []).append(float(np.median(epipolar_distances(matches, matrix))))
    return {name: float(np.mean(values)) for name, values in numbers.items()}


def compare(title: str, cases: Sequence[Case], made: dict[str, list[np.ndarray]]) -> dict[str, Any]:
    measured = {arm: [measure(c, v) for c, v in zip(cases, views, strict=True)] for arm, views in made.items()}
    print(title)
    rows: dict[str, Any] = {}
    for name in ("colour error", "tracked points", "camera error"):
        both = [i for i in range(len(cases)) if all(name in of[i] for of in measured.values())]
        if len(both) < 2:
            continue
        values = {arm: [of[i][name] for i in both] for arm, of in measured.items()}
        difference = paired(values["synchronised"], values["alone"])
        rows[name] = {arm: summary(numbers) for arm, numbers in values.items()} | {"difference": difference}
        shown = "  ".join(f"{arm} {rows[name][arm]['mean']:7.3f}" for arm in measured)
        print(f"  {name:15} {shown}   less alone {difference['difference']:+.3f} +- {difference['half']:.3f}"
              f"  ({len(both)} cases)", flush=True)  # fmt: skip
    return rows


def identical_paths(cases: Sequence[Case], steps: int) -> dict[str, Any]:
    """Mean squared difference, of 1, of two videos of the same camera."""
    values = {}
    for arm in ARMS[:2]:
        pairs = share_out(Arm(arm, steps).run, cases)
        values[arm] = [float(np.square((v[0].astype(np.float32) - v[1]) / 255).mean()) for v in pairs]
    difference = paired(values["synchronised"], values["alone"])
    print(f"identical paths, squared difference: synchronised {difference['on']:.4f}  alone {difference['off']:.4f}  "
          f"difference {difference['difference']:+.4f} +- {difference['half']:.4f}")  # fmt: skip
    return difference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--few", type=int, default=24, help="cases of 4 and 6 views and of identical paths")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--sheet", type=Path, help="write the first cases, unpicked: both views, with and without")
    options = parser.parse_args()
    rows: dict[str, Any] = {}
    for views, count in ((2, options.cases), (4, options.few), (6, options.few)):
        cases = [Case(number, views) for number in range(count)]
        if not cases:
            continue
        made = {arm: share_out(Arm(arm, options.steps).run, cases) for arm in ARMS}
        rows[f"{views} views"] = compare(f"{views} views, {count} cases", cases, made)
        if views == 2 and options.sheet:
            shown = [(i, arm) for i in range(4) for arm in ARMS]
            clips = [view for i, arm in shown for view in made[arm][i]]
            titles = [f"{arm}, view {v}: {words(cases[i].scene)}" for i, arm in shown for v in (1, 2)]
            save_sheet(contact_sheet(clips, titles), options.sheet)
    if options.few:
        cases = [Case(number, 2, same=True) for number in range(options.few)]
        rows["identical paths"] = identical_paths(cases, options.steps)
    print(json.dumps({"benchmark": "cvd_claims", "cases": options.cases, "few": options.few, "rows": rows}))


if __name__ == "__main__":
    main()
