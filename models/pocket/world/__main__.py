"""python -m models.pocket.world --contact-sheet world.png: a sheet of scenes, five frames each, with captions."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from models.pocket.world import SPLITS, caption, render_clip, sample_scene


def contact_sheet(seeds: range, split: str, columns: int = 2, scale: int = 2) -> Image.Image:
    """One row of five frames per seed under its caption."""
    tile, line = 64 * scale, 26
    rows = -(-len(seeds) // columns)
    sheet = Image.new("RGB", (columns * 5 * tile + (columns - 1) * 12, rows * (tile + line)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, seed in enumerate(seeds):
        scene = sample_scene(seed, split)
        frames = render_clip(scene).frames
        x, y = (number % columns) * (5 * tile + 12), (number // columns) * (tile + line)
        words = caption(scene, np.random.default_rng(seed))
        draw.text((x + 2, y + 1), words[:104], fill="black")
        draw.text((x + 2, y + 12), words[104:], fill="black")
        for k, index in enumerate(np.linspace(0, len(frames) - 1, 5).round().astype(int)):
            picture = Image.fromarray(frames[index]).resize((tile, tile), Image.Resampling.NEAREST)
            sheet.paste(picture, (x + k * tile, y + line))
    return sheet


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m models.pocket.world", description=__doc__)
    parser.add_argument("--contact-sheet", nargs="?", const="world.png", metavar="FILE", required=True)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--split", choices=SPLITS, default="train")
    options = parser.parse_args()
    sheet = contact_sheet(range(options.first_seed, options.first_seed + options.count), options.split)
    sheet.save(Path(options.contact_sheet))
    print(f"{options.count} scenes -> {options.contact_sheet}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
