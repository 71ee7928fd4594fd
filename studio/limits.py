"""What one request may ask for and how many jobs one visitor may have waiting; the owner of a studio sets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.method import Recipe, Request

SIZES = ("num_frames", "num_views", "height", "width", "num_inference_steps", "teacher_steps")


@dataclass(frozen=True)
class Limits:
    """0 leaves a matter to the method and its weights. `pixels` of one frame, `frames` of all views together."""

    pixels: int = 0
    frames: int = 0
    steps: int = 0
    waiting_each: int = 0

    def check(self, recipe: Recipe, request: Request) -> None:
        """ValueError, with what would work, for a request that is larger than this studio makes."""
        sizes = _sizes({**recipe.arguments, **vars(request)})
        width, height, views = sizes.get("width", 0), sizes.get("height", 0), max(1, sizes.get("num_views", 1))
        if self.pixels and width * height > self.pixels:
            raise ValueError(
                f"Frames of {width}x{height} are {width * height:,} pixels; this studio makes at most "
                f"{self.pixels:,}. Choose a smaller size."
            )
        frames = sizes.get("num_frames", 0) * views
        if self.frames and frames > self.frames:
            over = f" over {views} views" if views > 1 else ""
            raise ValueError(
                f"This asks for {frames} frames{over}; this studio makes at most {self.frames}. Choose fewer."
            )
        steps = max(sizes.get("num_inference_steps", 0), sizes.get("teacher_steps", 0))
        if self.steps and steps > self.steps:
            raise ValueError(f"This asks for {steps} steps; this studio makes at most {self.steps}. Choose fewer.")


def _sizes(values: Mapping[str, Any]) -> dict[str, int]:
    """The whole numbers among them; a `size` of "848x480" counts as width and height."""
    sizes = {name: int(values[name]) for name in SIZES if isinstance(values.get(name), int | float)}
    width, by, height = str(values.get("size", "")).partition("x")
    if by and width.isdigit() and height.isdigit():
        sizes |= {"width": int(width), "height": int(height)}
    if not values.get("teacher"):  # MCM: counted only when its teacher makes the video
        sizes.pop("teacher_steps", None)
    return sizes
