"""Sizes and lengths that networks of the AnimateDiff kind make, by their configs alone.

Standard library only: the page asks before anything is loaded, the pipelines ask again of what was loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from models.method import REPOSITORY

Config = Mapping[str, Any]


def saved_config(source: str) -> Config | None:
    """The config.json of a folder of weights; None where there is none on this machine that can be read."""
    try:
        return json.loads((REPOSITORY / source / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def halvings(config: Config) -> int:
    """How often a network or VAE halves height and width on its way down."""
    return len(config["block_out_channels"]) - 1


def check_size(unet: Config, vae: Config, height: int, width: int) -> None:
    """ValueError unless the network can halve the latents of this size, in pixels, as often as it does."""
    step = 2 ** (halvings(vae) + halvings(unet))
    if height % step or width % step:
        raise ValueError(f"Height and width must be multiples of {step} with these weights, got {height} and {width}.")


def check_length(num_frames: int, *longest: int | None) -> None:
    """ValueError for more frames than the smallest of what the networks know; None knows no end."""
    known = min((frames for frames in longest if frames is not None), default=num_frames)
    if num_frames > known:
        raise ValueError(f"Frames must be at most {known} with these weights, got {num_frames}.")
