"""Every recipe in order: clips, VAE, judge, latents, base, two continuations; each resumes where it stopped.

python -m models.pocket.recipes [--minutes 150] [--processes 2]
"""

from __future__ import annotations

import argparse
import subprocess
import sys

# share of the training time each recipe gets
SHARES = {
    "vae": 0.12,
    "judge": 0.08,
    "transformer base": 0.56,
    "transformer repvideo": 0.12,
    "transformer repvideo_off": 0.12,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.pocket.recipes", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=150, help="training time in all, without rendering and encoding"
    )
    parser.add_argument("--clips", type=int, default=12_000)
    parser.add_argument("--processes", type=int, default=2, help="CPU processes; one process is used on a GPU")
    options = parser.parse_args()
    processes = ["--processes", str(options.processes)]
    _run("dataset", "--clips", str(options.clips), *processes)
    for recipe, share in SHARES.items():
        if recipe == "transformer base":
            _run("latents", *processes)
        _run(*recipe.split(), "--seconds", str(60 * options.minutes * share), *processes)


def _run(recipe: str, *arguments: str) -> None:
    command = [sys.executable, "-m", f"models.pocket.recipes.{recipe}", *arguments]
    print("\n" + " ".join(command[2:]), flush=True)
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
