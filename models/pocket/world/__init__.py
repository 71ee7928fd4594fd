"""A procedural world with ground truth: scenes by seed, captions, cameras, frames, depth and masks.

Drawing needs numba, which only development installs; naming and describing scenes does not, so the renderer is
imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.pocket.world.captions import caption
from models.pocket.world.sampling import SPLITS, sample_scene, tinted_scene
from models.pocket.world.scene import Person, Scene, Solid

if TYPE_CHECKING:
    from models.pocket.world.clip import WorldClip, render_clip

__all__ = ["SPLITS", "Person", "Scene", "Solid", "WorldClip", "caption", "render_clip", "sample_scene", "tinted_scene"]


def __getattr__(name: str) -> Any:
    if name in ("WorldClip", "render_clip"):
        from models.pocket.world import clip

        return getattr(clip, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
