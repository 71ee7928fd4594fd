"""The reference pictures beside CustomVideoX's presets: subjects of the world, cut out, transparent around them.

python -m models.pocket.recipes.example_pictures
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from models.pocket.world import Person, Scene, Solid
from models.pocket.world.cutouts import cutout

FOLDER = Path("presets/customvideox/examples")
SIDE = 256
SUBJECTS = {
    "striped-orange-ball": Scene((Solid("sphere", "orange", "striped"),)),
    "blue-ring": Scene((Solid("torus", "blue"),)),
    "purple-cube": Scene((Solid("cube", "purple"),)),
    "striped-green-cone": Scene((Solid("cone", "green", "striped"),)),
    "red-can": Scene((Solid("cylinder", "red"),)),
    "wizard": Scene(
        person=Person("tan", "white", "long", "blue", True, True, (0.2, 0.1, 0.0, 0.3, 0.0), "wizard hat", "purple",
                      "green")
    ),
}  # fmt: skip


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, scene in SUBJECTS.items():
        large = Image.fromarray(cutout(scene, np.random.default_rng(3), 2 * SIDE))
        left, top, right, bottom = large.getchannel("A").getbbox()  # pyright: ignore[reportGeneralTypeIssues]
        margin = max(right - left, bottom - top) // 8
        subject = large.crop((left - margin, top - margin, right + margin, bottom + margin))
        subject.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
        subject.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
