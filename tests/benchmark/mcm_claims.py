"""MCM's claims in miniature: few steps of the student against its teacher and against plain distillation.

    python -m tests.benchmark.mcm_claims [--cases 200] [--steps 1 2 4 8] [--sheet FILE]

Paired: every arm makes the same scenes of the test split (never trained on, half solids, half people) from the same
captions and first noise. Arms: MCM; plain latent consistency distillation, trained as long; the teacher by DDIM and by
DPM++, guided; the teacher with 25 DDIM steps; clean renders of the same scenes, and renders as poor as the video set
both students were trained on.

Agreement: share of the judge's questions answered as asked. Sharpness: mean absolute Laplacian. Movement: mean change
from frame to frame. Clips, frames: Frechet distance of whole clips and of single frames to other clean renders, in the
judge's features. Intervals are 95%; those of distances by resampling the clips, and of their differences between two
arms by resampling the same scenes in both. Seconds: see mcm_speed.
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
from diffusers import DPMSolverMultistepScheduler, UNetMotionModel

from models.common.animatediff.frames import decode_frames, draw_latents
from models.common.animatediff.prompts import encode_prompts
from models.mcm.adapter import merge_adapter
from models.mcm.sampler import sample_student, sample_teacher, student_scheduler, teacher_scheduler
from models.pocket.judge import load_judge
from models.pocket.recipes.mcm import ADAPTERS, Base
from models.pocket.recipes.poor_videos import poor_copy
from models.pocket.recipes.training import autocast
from models.pocket.world import Scene, caption, render_clip
from tests.benchmark.echovideo_claims import summary
from tests.benchmark.pocket_quality import contact_sheet, marks, save_sheet, scenes_of
from tests.benchmark.repvideo_claims import movement, paired
from tests.benchmark.shares import share_out
from tests.benchmark.world_features import clip_features, frame_features, resampled_frechet, sharpness, with_interval

FRAMES, SIDE, BATCH, GUIDANCE = 16, 64, 10, 4.0
RENDERS = {"renders": lambda frames: frames, "poor renders": poor_copy}


@dataclass(frozen=True)
class Arm:
    """One way to make the clips: "mcm", "plain", "ddim" or "dpm", with a number of steps; or a kind of render."""

    kind: str
    steps: int = 0

    @property
    def name(self) -> str:
        return f"{self.kind} {self.steps}" if self.steps else self.kind

    def run(self, scenes: Sequence[Scene]) -> list[np.ndarray]:
        """The clip of every scene."""
        if self.kind in RENDERS:
            return [RENDERS[self.kind](render_clip(scene).frames[:FRAMES]) for scene in scenes]
        base = Base(torch.device("cpu"))
        unet = network(self.kind)
        return [clip for i in range(0, len(scenes), BATCH) for clip in self.batch(base, unet, scenes[i : i + BATCH])]

    @torch.inference_mode()
    def batch(self, base: Base, unet: Any, scenes: Sequence[Scene]) -> np.ndarray:
        words = [caption(scene, np.random.default_rng(scene.seed), omitted=0.0) for scene in scenes]
        draws = [torch.Generator().manual_seed(scene.seed) for scene in scenes]
        latents = torch.cat([draw_latents(unet, base.vae, 1, FRAMES, SIDE, SIDE, draw) for draw in draws])
        text = encode_prompts(base.tokenizer, base.text_encoder, words)
        with autocast(base.device):
            if self.kind in ("mcm", "plain"):
                scheduler = student_scheduler(base.scheduler, unet)
                scheduler.set_timesteps(self.steps)
                latents = sample_student(unet, scheduler, latents, text, draws[0], lambda *_: None)
            else:
                scheduler: Any = teacher_scheduler(base.scheduler, unet)
                if self.kind == "dpm":
                    scheduler = DPMSolverMultistepScheduler.from_config(scheduler.config, algorithm_type="dpmsolver++")
                scheduler.set_timesteps(self.steps)
                empty = encode_prompts(base.tokenizer, base.text_encoder, [""] * len(words))
                latents = sample_teacher(unet, scheduler, latents, torch.cat([empty, text]), GUIDANCE, lambda *_: None)
            return decode_frames(base.vae, latents.float())


def network(kind: str) -> Any:
    """The UNet of an arm."""
    from models.pocket.recipes.animatediff_vae import WEIGHTS as BASE

    unet: Any = UNetMotionModel.from_pretrained(str(BASE / "unet"), dtype=torch.float32)
    return (merge_adapter(unet, ADAPTERS[kind]) if kind in ADAPTERS else unet).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200, help="half solids, half people")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--sheet", type=Path, help="write the clips of the first scenes, unpicked, four steps each")
    options = parser.parse_args()
    scenes = scenes_of("solids", options.cases // 2, "test") + scenes_of("people", options.cases // 2, "test")
    kinds = ["mcm", "plain", "ddim", "dpm"] if ADAPTERS["plain"].exists() else ["mcm", "ddim", "dpm"]
    arms = [Arm(kind, steps) for steps in options.steps for kind in kinds]
    arms += [Arm("ddim", 25), Arm("renders"), Arm("poor renders")]
    judge = load_judge()
    others = [render_clip(s).frames[:FRAMES] for s in scenes_of("solids", options.cases, "held_out")]
    others += [render_clip(s).frames[:FRAMES] for s in scenes_of("people", options.cases, "held_out")]
    real_clips, real_frames = clip_features(judge, others), frame_features(judge, others)
    rows, agreement, clips_of, distances = {}, {}, {}, {}
    for arm in arms:
        clips = clips_of[arm.name] = share_out(arm.run, scenes)
        agreement[arm.name] = [
            float(np.mean(list(marks(judge, c, s).values()))) for c, s in zip(clips, scenes, strict=True)
        ]
        rows[arm.name] = {
            "agreement": summary(agreement[arm.name]),
            "sharpness": summary([sharpness(clip) for clip in clips]),
            "movement": summary([movement(clip) for clip in clips]),
        }  # fmt: skip
        for name, made, real in (("clips", clip_features(judge, clips), real_clips),
                                 ("frames", frame_features(judge, clips), real_frames)):  # fmt: skip
            distances[name, arm.name] = resampled_frechet(made, real)
            rows[arm.name][name] = with_interval(distances[name, arm.name])
        shown = "  ".join(f"{name} {v['mean']:8.3f} +- {v['half']:.3f}" for name, v in rows[arm.name].items())
        print(f"{arm.name:14} {shown}", flush=True)
    pairs = {}
    for steps in options.steps:
        mine = f"mcm {steps}"
        for kind in [*(f"{kind} {steps}" for kind in kinds[1:]), "ddim 25", "poor renders"]:
            pair = paired(agreement[mine], agreement[kind])
            pairs[f"{mine} less {kind}"] = found = {
                "agreement": {"mean": pair["difference"], "half": pair["half"]},
                **{name: with_interval(distances[name, mine] - distances[name, kind]) for name in ("clips", "frames")},
            }
            shown = "  ".join(f"{name} {v['mean']:+8.3f} +- {v['half']:.3f}" for name, v in found.items())
            print(f"{mine} less {kind:14} {shown}", flush=True)
    if options.sheet:
        shown = [("ddim", 25), ("mcm", 4), *((kind, 4) for kind in kinds[1:])]
        picked = [0, 1, 2, len(scenes) // 2, len(scenes) // 2 + 1, len(scenes) // 2 + 2]
        clips = [clips_of[f"{k} {s}"][i] for i in picked for k, s in shown if f"{k} {s}" in clips_of]
        words = [f"{k} {s}: {caption(scenes[i])}" for i in picked for k, s in shown if f"{k} {s}" in clips_of]
        save_sheet(contact_sheet(clips, words), options.sheet)
    print(json.dumps({"benchmark": "mcm_claims", "cases": len(scenes), "rows": rows, "pairs": pairs}))


if __name__ == "__main__":
    main()
