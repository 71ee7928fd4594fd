"""A method that takes a picture: every square of it, from left to right, counts as a face. No weights, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.method import Clip, Method, OnStep, Recipe, Request, Sight, Step, image, number, text


@dataclass
class PortraitRequest(Request):
    """What a person can ask of the portrait."""

    prompt: str = text("What happens in the video", default="a portrait", required=True)
    picture: Path | None = image(
        "Wide pictures have several faces, tall ones none.", label="Picture",
        inspected=True, chooses="which", consent="I may use this picture.",
    )  # fmt: skip
    which: int = number(0, "0 takes the first", label="Which", minimum=0)
    seed: int = number(42, "The same seed and settings give the same video", label="Seed", minimum=0)


@dataclass
class PortraitWeights:
    """None are needed."""


class PortraitInspector:
    """Cuts the picture into squares."""

    def __call__(self, field: str, picture: Path) -> list[Sight]:
        return [
            Sight(square, f"Face {index}", index, index == 1) for index, square in enumerate(squares(picture), start=1)
        ]


class PortraitPipeline:
    """A video of the chosen square."""

    def __call__(self, request: PortraitRequest, on_step: OnStep) -> list[Clip]:
        import numpy as np

        assert request.picture is not None
        square = squares(request.picture)[max(request.which, 1) - 1]
        on_step(Step(1, 1))
        return [Clip(np.repeat(square[None], 8, 0), 8)]


def squares(picture: Path):
    """uint8 [side, side, 3] each; ValueError for none."""
    import numpy as np
    from PIL import Image

    pixels = np.asarray(Image.open(picture).convert("RGB"))
    side = len(pixels)
    found = [pixels[:, left : left + side] for left in range(0, pixels.shape[1] - side + 1, side)]
    if not found:
        raise ValueError("No face was found. Use a wider picture.")
    return found


METHOD = Method(
    name="portrait",
    title="Portrait",
    summary="A square that stays.",
    paper="",
    request=PortraitRequest,
    weights=PortraitWeights,
    recipe=lambda weights: Recipe("portrait", "tests.fakes.portrait:PortraitPipeline", ()),
    inspector=lambda weights: Recipe("portrait", "tests.fakes.portrait:PortraitInspector", ()),
)
