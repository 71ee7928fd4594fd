"""Rendered clips on disk, once: `<folder>/<split>.npy` uint8 [clips, frames, height, width, 3], of `scene_of`.

Rendering resumes where it stopped, in as many processes as asked for:
    python -m models.pocket.recipes.dataset --clips 12000 --processes 2
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from pathlib import Path

import numpy as np

from models.pocket.world import Scene, render_clip, sample_scene, tinted_scene
from models.pocket.world.clip import NUM_FRAMES, SIDE

STATE = Path(".pocket")  # ignored by git: rendered clips, latents and training state
BLOCK = 50


PEOPLE = "people"  # more of training's kind, people only: a face is learnt from many who wear it, not from clips
FIRST_PERSON = 500_000
TINTED = "tinted"  # solids in colours without a name


def scene_of(split: str, index: int) -> Scene:
    """Scene `index` of a set of clips: a split of the world by its seed, or of PEOPLE or TINTED."""
    if split == TINTED:
        return tinted_scene(index)
    if split == PEOPLE:
        return sample_scene(FIRST_PERSON + index, "train", 1.0)
    return sample_scene(index, split)


def clips_path(split: str, folder: Path = STATE) -> Path:
    return folder / f"{split}.npy"


def open_clips(split: str, folder: Path = STATE) -> np.ndarray:
    """The rendered clips of a split, memory-mapped; only finished ones."""
    clips = np.load(clips_path(split, folder), mmap_mode="r")
    return clips[: int(np.load(_marks_path(split, folder)).cumprod().sum()) * BLOCK]


def render(split: str, count: int, processes: int, folder: Path = STATE) -> None:
    """Render scenes 0..count-1 of a split, in blocks; blocks already done are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    path, marks_path = clips_path(split, folder), _marks_path(split, folder)
    shape = (count, NUM_FRAMES, SIDE, SIDE, 3)
    if not path.exists() or np.load(path, mmap_mode="r").shape != shape:
        np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        np.save(marks_path, np.zeros(count // BLOCK, bool))
    marks = np.load(marks_path)
    jobs = [(split, count, b, folder) for b in np.flatnonzero(~marks).tolist()]
    start = time.monotonic()
    with multiprocessing.Pool(processes) as pool:
        for done, block in enumerate(pool.imap(_render_block, jobs), start=1):
            marks[block] = True
            np.save(marks_path, marks)
            if done % 10 == 0 or done == len(jobs):
                rate = done * BLOCK / (time.monotonic() - start)
                print(f"{split}: {done * BLOCK}/{len(jobs) * BLOCK} clips, {rate:.0f} clips/s", flush=True)


def _marks_path(split: str, folder: Path) -> Path:
    return folder / f"{split}.done.npy"


def _render_block(job: tuple[str, int, int, Path]) -> int:
    split, _, block, folder = job
    clips = np.load(clips_path(split, folder), mmap_mode="r+")
    for index in range(block * BLOCK, (block + 1) * BLOCK):
        clips[index] = render_clip(scene_of(split, index)).frames
    clips.flush()
    return block


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=12_000)
    parser.add_argument("--test-clips", type=int, default=400)
    parser.add_argument("--people-clips", type=int, default=0, help="of people only, beside the others")
    parser.add_argument("--tinted-clips", type=int, default=6_000, help="of solids in colours without a name")
    parser.add_argument(
        "--held-out-clips", type=int, default=2_000, help="of what no generator is shown, for the judge"
    )
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    for kind, count in (
        (PEOPLE, options.people_clips),
        (TINTED, options.tinted_clips),
        ("held_out", options.held_out_clips),
    ):
        if count:
            render(kind, count, options.processes)
    render("test", options.test_clips, options.processes)
    render("train", options.clips, options.processes)


if __name__ == "__main__":
    main()
