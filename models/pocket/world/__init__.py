"""A procedural world with ground truth: scenes by seed, captions, cameras, frames, depth and masks."""

from models.pocket.world.captions import caption
from models.pocket.world.clip import WorldClip, render_clip
from models.pocket.world.sampling import SPLITS, sample_scene
from models.pocket.world.scene import Person, Scene, Solid

__all__ = ["SPLITS", "Person", "Scene", "Solid", "WorldClip", "caption", "render_clip", "sample_scene"]
