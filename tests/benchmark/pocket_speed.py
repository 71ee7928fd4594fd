"""How long a pocket video takes, from a cold worker and from a warm one, and what RepVideo's cache costs per step.

    python -m tests.benchmark.pocket_speed [--videos 5]

Jobs go through the queue and a spawned worker as in the studio. The cost of the cache is a ratio within one run: the
same network with its cache and without, steps taken in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from studio.events import Finished
from studio.executors.process import ProcessExecutor
from studio.jobs import JobQueue
from studio.presets import Preset, preset_for
from studio.registry import Registry
from studio.settings import StudioSettings


def seconds_per_video(preset: Preset, videos: int) -> list[float]:
    """Wall seconds from submit to the finished file; the first one starts the worker and loads the weights."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = JobQueue(ProcessExecutor(StudioSettings(output_dir=Path(folder), device="cpu")))
        try:
            taken = []
            for _ in range(videos):
                start = time.monotonic()
                last = list(jobs.submit(preset, preset.request, "benchmark").events())[-1]
                assert isinstance(last, Finished), last
                taken.append(time.monotonic() - start)
        finally:
            jobs.close()
    return taken


def cache_overhead(preset: Preset, rounds: int = 40) -> list[float]:
    """Process seconds of a guided step with the feature cache over the same step without it, round by round."""
    with Registry("cpu").acquire(preset.recipe) as pipeline, torch.no_grad():
        network: Any = pipeline.transformer  # pyright: ignore[reportAttributeAccessIssue]
        config = network.config
        latents = torch.randn(2, config.sample_frames, config.in_channels, config.sample_height, config.sample_width)
        words = torch.randn(2, config.max_text_seq_length, config.text_embed_dim)
        rotary = pipeline_rotary(pipeline, latents)
        timestep = torch.tensor([500.0, 500.0])
        ratios = []
        for index in range(rounds + 3):
            spent = {}
            for cache in (True, False) if index % 2 else (False, True):
                start = time.process_time()
                network(latents, words, timestep, image_rotary_emb=rotary, feature_cache=cache)
                spent[cache] = time.process_time() - start
            if index >= 3:
                ratios.append(spent[True] / spent[False])
    return ratios


def pipeline_rotary(pipeline: Any, latents: torch.Tensor) -> Any:
    from models.common.cogvideox.rotary import rotary_for

    _, frames, _, height, width = latents.shape
    return rotary_for(pipeline.transformer.config, frames, height, width, latents.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=5)
    options = parser.parse_args()
    preset = preset_for("repvideo", "pocket")
    first, *later = seconds_per_video(preset, options.videos)
    ratios = sorted(cache_overhead(preset))
    low, middle, high = ratios[len(ratios) // 4], statistics.median(ratios), ratios[3 * len(ratios) // 4]
    print(f"{preset.key}, {preset.request.num_inference_steps} steps")  # pyright: ignore[reportAttributeAccessIssue]
    print(f"first video, worker started and weights loaded   {first:6.1f} s")
    print(f"later videos, median of {len(later)}                        {statistics.median(later):6.1f} s")
    print(f"a step with the feature cache over one without   {middle:6.3f}   (quartiles {low:.3f} .. {high:.3f})")
    print(json.dumps({"benchmark": "pocket_speed", "first_seconds": round(first, 2),
                      "later_seconds": [round(s, 2) for s in later], "cache_ratio": round(middle, 4)}))  # fmt: skip


if __name__ == "__main__":
    main()
