"""RepVideo's claims in miniature: the feature cache on against the equally long training without it.

    python -m tests.benchmark.repvideo_claims [--cases 200]

Paired: the same scenes of the test split (never trained on), captions and seeds. Text agreement is the share of the
judge's questions answered as asked; frame consistency the cosine of neighbouring frames in the judge's features;
layer similarity the cosine of neighbouring groups of frames at a place after each layer, as in the paper's Fig. 12.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.pocket.judge import Judge, load_judge
from models.pocket.world import Scene
from models.repvideo.pipeline import RepVideoPipeline
from studio.presets import preset_for
from studio.registry import Registry
from tests.benchmark.pocket_quality import generate, marks, print_table, scenes_of, table
from tests.benchmark.shares import share_out

ACCURACY = Path("models/pocket/weights/judge/accuracy.json")


class LayerSimilarity:
    """Mean cosine of neighbouring frame groups after every layer of a network, over all its calls."""

    def __init__(self, network: Any) -> None:
        self.found: dict[int, list[float]] = defaultdict(list)
        side = network.config.sample_height // network.config.patch_size
        self.handles = [
            block.register_forward_hook(self._noting(layer, side * side))
            for layer, block in enumerate(network.transformer_blocks)
        ]

    def _noting(self, layer: int, tokens_per_group: int) -> Callable[..., None]:
        def note(block: Any, inputs: Any, outputs: tuple[Tensor, Tensor]) -> None:
            groups = outputs[0][-1].float().unflatten(0, (-1, tokens_per_group))  # the prompted branch
            self.found[layer].append(float(F.cosine_similarity(groups[:-1], groups[1:], dim=-1).mean()))

        return note

    def stop(self) -> list[float]:
        for handle in self.handles:
            handle.remove()
        return [float(np.mean(self.found[layer])) for layer in sorted(self.found)]


@torch.no_grad()
def frame_consistency(judge: Judge, frames: np.ndarray) -> float:
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    features = judge.frames(pixels)
    return float(F.cosine_similarity(features[:-1], features[1:]).mean())


def movement(frames: np.ndarray) -> float:
    """Mean absolute change from frame to frame, of 255; a frozen clip is the most consistent one."""
    return float(np.abs(np.diff(frames.astype(np.float32), axis=0)).mean())


def paired(on: list[float], off: list[float]) -> dict[str, float]:
    """Both means, and the mean difference with its 95% interval."""
    difference = np.asarray(on) - np.asarray(off)
    half = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    numbers = {"on": np.mean(on), "off": np.mean(off), "difference": difference.mean(), "half": half}
    return {name: round(float(value), 5) for name, value in numbers.items()}


@dataclass(frozen=True)
class Side:
    """The cache on or off."""

    feature_cache: bool

    def run(self, scenes: Sequence[Scene]) -> list[tuple[dict[str, bool], dict[str, float], list[float]]]:
        """Per scene: the judge's questions, the measures, the layers' likeness."""
        preset, judge, found = preset_for("repvideo", "pocket"), load_judge(), []
        with Registry("cpu").acquire(preset.recipe) as pipeline:
            assert isinstance(pipeline, RepVideoPipeline)
            network = pipeline.transformer if self.feature_cache else pipeline.transformer_off
            for scene in scenes:
                noted = LayerSimilarity(network)
                (clip,) = generate(preset, pipeline, [scene], {"feature_cache": self.feature_cache})
                right = marks(judge, clip, scene)
                numbers = {
                    "text agreement": float(np.mean(list(right.values()))),
                    "frame consistency": frame_consistency(judge, clip),
                    "movement": movement(clip),
                }
                found.append((right, numbers, noted.stop()))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200, help="of each kind: solids and people")
    options = parser.parse_args()
    scenes = scenes_of("solids", options.cases, "test") + scenes_of("people", options.cases, "test")
    found = {name: share_out(Side(name == "on").run, scenes) for name in ("on", "off")}
    rows = {
        name: paired(*([numbers[name] for _, numbers, _ in found[side]] for side in ("on", "off")))
        for name in found["on"][0][1]
    }
    print(f"repvideo, {len(scenes)} pairs: half solids, half people")
    for name, row in rows.items():
        print(f"{name:20} on {row['on']:8.4f}  off {row['off']:8.4f}  "
              f"difference {row['difference']:+.4f} +- {row['half']:.4f}")  # fmt: skip
    layers = {side: np.mean([one for _, _, one in cases], axis=0).round(5).tolist() for side, cases in found.items()}
    for layer, (on, off) in enumerate(zip(layers["on"], layers["off"], strict=True), start=1):
        print(f"layer {layer}: neighbouring frames' likeness on {on:.4f}  off {off:.4f}")
    ceiling = json.loads(ACCURACY.read_text())["test"]["accuracy"]
    tables = {}
    for side, cases in found.items():
        answers: dict[str, list[bool]] = defaultdict(list)
        for right, _, _ in cases:
            for question, answer in right.items():
                answers[question].append(answer)
        tables[side] = table(answers, ceiling)
        print(f"\nfeature cache {side}")
        print_table(tables[side])
    print(json.dumps({"benchmark": "repvideo_claims", "cases": len(scenes), "rows": rows, "layers": layers,
                      "questions": tables}))  # fmt: skip


if __name__ == "__main__":
    main()
