"""Every recipe in order, each resuming where it stopped: clips, codecs, judge, the bases, the methods built on them.

python -m models.pocket.recipes [--minutes 400] [--processes 2]
"""

from __future__ import annotations

import argparse
import subprocess
import sys

# recipe and its share of the training time; None: as long as it takes
PLAN: tuple[tuple[str, float | None], ...] = (
    ("vae", 0.05),
    ("judge", 0.03),
    ("faces", 0.03),
    ("latents --splits test train people tinted", None),
    ("transformer coarse", 0.17),
    ("transformer base", 0.09),
    ("transformer repvideo", 0.02),
    ("transformer repvideo_off", 0.02),
    ("decoder redraw", None),
    ("decoder train", 0.04),
    ("echovideo --coarse", 0.05),
    ("echovideo", 0.03),
    ("customvideox references", None),
    ("customvideox train --coarse", 0.06),
    ("customvideox train", 0.03),
    ("animatediff_vae", 0.04),
    ("latents animatediff --splits test train", None),
    ("animatediff", 0.16),
    ("mcm mcm", 0.06),
    ("mcm plain", 0.06),
    ("cvd cameras", 0.03),
    ("cvd views", 0.03),
)

ONE_PROCESS = ("mcm",)  # its student, teacher and discriminator do not share gradients between processes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.pocket.recipes", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=400, help="training time in all, without rendering and encoding"
    )
    parser.add_argument("--clips", type=int, default=12_000)
    parser.add_argument("--people-clips", type=int, default=7_000)
    parser.add_argument("--processes", type=int, default=2, help="CPU processes; one process is used on a GPU")
    options = parser.parse_args()
    processes = ["--processes", str(options.processes)]
    _run("dataset", "--clips", str(options.clips), "--people-clips", str(options.people_clips), *processes)
    for recipe, share in PLAN:
        clock = [] if share is None else ["--seconds", str(60 * options.minutes * share)]
        _run(*recipe.split(), *clock, *(processes if recipe.split()[0] not in ONE_PROCESS else []))


def _run(recipe: str, *arguments: str) -> None:
    command = [sys.executable, "-m", f"models.pocket.recipes.{recipe}", *arguments]
    print("\n" + " ".join(command[2:]), flush=True)
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
