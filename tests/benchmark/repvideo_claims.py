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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.pocket.judge import Judge, load_judge
from models.repvideo.pipeline import RepVideoPipeline
from studio.presets import preset_for
from studio.registry import Registry
from tests.benchmark.pocket_quality import generate, marks, print_table, scenes_of, table

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200)
    options = parser.parse_args()
    preset, judge = preset_for("repvideo", "pocket"), load_judge()
    scenes = scenes_of("solids", options.cases // 2, "test") + scenes_of("people", options.cases // 2, "test")
    scores: dict[str, dict[str, list[float]]] = {"on": defaultdict(list), "off": defaultdict(list)}
    questions: dict[str, dict[str, list[bool]]] = {"on": defaultdict(list), "off": defaultdict(list)}
    layers = {}
    with Registry("cpu").acquire(preset.recipe) as pipeline:
        assert isinstance(pipeline, RepVideoPipeline)
        for side, network in (("on", pipeline.transformer), ("off", pipeline.transformer_off)):
            noted = LayerSimilarity(network)
            for scene in scenes:
                (clip,) = generate(preset, pipeline, [scene], {"feature_cache": side == "on"})
                right = marks(judge, clip, scene)
                for question, answer in right.items():
                    questions[side][question].append(answer)
                scores[side]["text agreement"].append(float(np.mean(list(right.values()))))
                scores[side]["frame consistency"].append(frame_consistency(judge, clip))
                scores[side]["movement"].append(movement(clip))
            layers[side] = noted.stop()
    ceiling = json.loads(ACCURACY.read_text())["accuracy"]
    rows = {name: paired(scores["on"][name], scores["off"][name]) for name in scores["on"]}
    print(f"repvideo, {len(scenes)} pairs: half solids, half people")
    for name, row in rows.items():
        print(f"{name:20} on {row['on']:8.4f}  off {row['off']:8.4f}  "
              f"difference {row['difference']:+.4f} +- {row['half']:.4f}")  # fmt: skip
    for layer, (on, off) in enumerate(zip(layers["on"], layers["off"], strict=True), start=1):
        print(f"layer {layer}: neighbouring frames' likeness on {on:.4f}  off {off:.4f}")
    for side in ("on", "off"):
        print(f"\nfeature cache {side}")
        print_table(table(questions[side], ceiling))
    print(json.dumps({"benchmark": "repvideo_claims", "cases": len(scenes), "rows": rows, "layers": layers,
                      "questions": {side: table(questions[side], ceiling) for side in questions}}))  # fmt: skip


if __name__ == "__main__":
    main()
