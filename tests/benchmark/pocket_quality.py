"""What the pocket clips show: prompts of scenes never trained on, clips marked by the judge, 95% intervals.

    python -m tests.benchmark.pocket_quality [--clips 200] [--split held_out] [--set key=value] [--sheet FILE]

The judge saw renders only; its own accuracy on renders it was not trained on stands beside each number.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from models.pocket.judge import QUESTIONS, UNKNOWN, Judge, answers, load_judge, truth
from models.pocket.world import Scene, caption, sample_scene
from studio.metrics.intervals import share
from studio.presets import Preset, parse_values, preset_for, request_with
from studio.registry import Registry

FIRST_SEED = 1_000_000  # far from every scene used for training and for choosing settings


def scenes_of(kind: str, count: int, split: str) -> list[Scene]:
    people = {"solids": 0.0, "people": 1.0}[kind]
    return [sample_scene(FIRST_SEED + i, split, people) for i in range(count)]


def marks(judge: Judge, frames: np.ndarray, scene: Scene) -> dict[str, bool]:
    """Question -> whether the clip shows what the scene asked for. Two solids at rest may stand either way round."""
    seen, wanted = answers(judge, torch.from_numpy(frames)), truth(scene)
    right = {q: seen[q] == wanted[q] for q in QUESTIONS if wanted[q] != UNKNOWN}
    if scene.person is None and len(scene.solids) == 2 and scene.solids[0].motion == "still":
        swapped = {q: seen[q] == wanted[f"second {q}"] for q in ("shape", "colour")}
        swapped |= {f"second {q}": seen[f"second {q}"] == wanted[q] for q in ("shape", "colour")}
        if sum(swapped.values()) > sum(right[q] for q in swapped):
            right |= swapped
    return right


def generate(preset: Preset, pipeline: Any, scenes: list[Scene], values: dict[str, Any]) -> list[np.ndarray]:
    """One clip per scene from its caption (other words than in training may come, every attribute is named)."""
    clips = []
    for scene in scenes:
        request = request_with(preset.request, {"prompt": _words(scene), "seed": scene.seed} | values)
        clips.append(pipeline(request, lambda step: None)[0].frames)
    return clips


def _words(scene: Scene) -> str:
    return caption(scene, np.random.default_rng(scene.seed), omitted=0.0)


def save_animation(clips: list[np.ndarray], path: Path, columns: int = 4, scale: int = 3) -> None:
    """Clips in a grid as a looping WebP."""
    rows = [np.concatenate(clips[i : i + columns], axis=2) for i in range(0, len(clips), columns)]
    pictures = [Image.fromarray(frame) for frame in np.concatenate(rows, axis=1)]
    size = (pictures[0].width * scale, pictures[0].height * scale)
    large = [picture.resize(size, Image.Resampling.LANCZOS) for picture in pictures]
    large[0].save(path, save_all=True, append_images=large[1:], duration=125, loop=0, quality=80, method=4)


def table(scores: dict[str, list[bool]], ceiling: dict[str, float]) -> list[dict[str, Any]]:
    rows = []
    for question in QUESTIONS:
        if right := scores.get(question):
            interval = share(sum(right), len(right))
            rows.append({
                "question": question, "clips": len(right), "right": round(interval.value, 3),
                "low": round(interval.low, 3), "high": round(interval.high, 3),
                "judge": round(ceiling.get(question, 0.0), 3),
            })  # fmt: skip
    return rows


def print_table(rows: list[dict[str, Any]]) -> None:
    print(f"{'':16}{'clips':>6}{'right':>8}   95% interval   judge on renders")
    for row in rows:
        interval = f"{100 * row['low']:5.1f} .. {100 * row['high']:5.1f}"
        print(
            f"{row['question']:16}{row['clips']:6d}{100 * row['right']:7.1f}%  {interval}   {100 * row['judge']:6.1f}%"
        )


def contact_sheet(
    clips: list[np.ndarray], captions: list[str], columns: int = 2, shown: int = 6, scale: int = 2
) -> Image.Image:
    """Every clip as a row of frames under its caption."""
    tile, line = 64 * scale, 28
    rows = -(-len(clips) // columns)
    sheet = Image.new("RGB", (columns * (shown * tile + 12), rows * (tile + line)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (frames, words) in enumerate(zip(clips, captions, strict=True)):
        x, y = (number % columns) * (shown * tile + 12), (number // columns) * (tile + line)
        draw.text((x + 2, y + 2), words[:118], fill="black")
        draw.text((x + 2, y + 13), words[118:], fill="black")
        for k, index in enumerate(np.linspace(0, len(frames) - 1, shown).round().astype(int)):
            picture = Image.fromarray(frames[index]).resize((tile, tile), Image.Resampling.LANCZOS)
            sheet.paste(picture, (x + k * tile, y + line))
    return sheet


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """As WebP, or as PNG in 256 colours, which bend a little: a quarter of the file."""
    if path.suffix == ".png":
        sheet.quantize(kmeans=3).save(path, optimize=True)
    else:
        sheet.save(path, quality=85, method=6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200, help="of each kind: solids and people")
    parser.add_argument("--kind", choices=("both", "solids", "people"), default="both")
    parser.add_argument("--split", choices=("test", "held_out"), default="test")
    parser.add_argument("--method", default="repvideo")
    parser.add_argument("--set", action="append", default=[], metavar="key=value")
    parser.add_argument(
        "--sheet", type=Path, help="write a contact sheet of the test scenes of seeds 0 to 23, unpicked"
    )
    parser.add_argument("--animation", type=Path, help="write the first eight of them as one moving picture")
    options = parser.parse_args()
    preset = preset_for(options.method, "pocket")
    values = parse_values(type(preset.request), options.set)
    judge = load_judge()
    accuracy = json.loads(Path("models/pocket/weights/judge/accuracy.json").read_text())["test"]["accuracy"]
    scores: dict[str, list[bool]] = defaultdict(list)
    start = time.monotonic()
    with Registry("cpu").acquire(preset.recipe) as pipeline:
        kinds = ("solids", "people") if options.kind == "both" else (options.kind,)
        for kind in kinds:
            for scene in scenes_of(kind, options.clips, options.split):
                (clip,) = generate(preset, pipeline, [scene], values)
                for question, right in marks(judge, clip, scene).items():
                    scores[question].append(right)
        marked = time.monotonic()
        if options.sheet or options.animation:
            scenes = [sample_scene(seed, "test") for seed in range(24)]
            clips = generate(preset, pipeline, scenes, values)
            words = [f"{scene.seed}: {_words(scene)}" for scene in scenes]
            if options.sheet:
                save_sheet(contact_sheet(clips, words), options.sheet)
            if options.animation:
                save_animation(clips[:8], options.animation)
    seconds = (marked - start) / (len(kinds) * options.clips)
    rows = table(scores, accuracy)
    asked = " ".join(options.set) or "preset settings"
    print(f"{preset.key}, split {options.split}, {options.clips} clips of each kind, {asked}")
    print_table(rows)
    print(json.dumps({"benchmark": "pocket_quality", "split": options.split, "set": options.set,
                      "seconds_per_clip": round(seconds, 2), "rows": rows}))  # fmt: skip


if __name__ == "__main__":
    main()
