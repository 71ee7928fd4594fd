"""Clips with known answers, and renders of the world with the facts of the job that would have made them."""

from __future__ import annotations

import cv2
import numpy as np

from models.method import Clip
from models.pocket.world import Scene, WorldClip, caption, render_clip, sample_scene
from models.pocket.world import cameras as world_cameras
from studio.metrics import Facts, measure


def texture(height: int = 96, width: int = 96, seed: int = 0, softness: float = 2.0) -> np.ndarray:
    """Coloured noise with structure of a few pixels, uint8 [height, width, 3]."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), softness)
    return np.clip(127 + 60 * soft / soft.std(), 0, 255).astype(np.uint8)


def edges(seed: int, side: int = 96) -> Clip:
    """One frame of coloured triangles over each other."""
    rng = np.random.default_rng(seed)
    picture = np.full((side, side, 3), 120, np.uint8)
    for _ in range(12):
        colour = tuple(int(level) for level in rng.integers(0, 256, 3))
        cv2.fillPoly(picture, [rng.integers(0, side, (3, 2)).astype(np.int32)], colour, cv2.LINE_AA)
    return Clip(picture[None], fps=8)


def still(frames: int = 6, **options) -> Clip:
    return Clip(np.stack([texture(**options)] * frames), fps=8)


def shifted(pixels_per_frame: float, frames: int = 6, side: int = 96) -> Clip:
    """The middle of a larger texture moving right."""
    large = texture(side + 64, side + 64)
    moves = [np.array([[1, 0, pixels_per_frame * t], [0, 1, 0]], np.float32) for t in range(frames)]
    moved = [cv2.warpAffine(large, move, large.shape[1::-1], flags=cv2.INTER_CUBIC) for move in moves]
    return Clip(np.stack([frame[32:-32, 32:-32] for frame in moved]), fps=8)


def noisy(clip: Clip, levels: float, seed: int = 1) -> Clip:
    noise = np.random.default_rng(seed).normal(size=clip.frames.shape)
    return Clip(np.clip(clip.frames + levels * noise, 0, 255).astype(np.uint8), clip.fps, clip.name)


def blurred(clip: Clip, sigma: float) -> Clip:
    return Clip(np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in clip.frames]), clip.fps)


def value(name: str, clip: Clip, facts: Facts | None = None) -> float:
    score = measure([clip], facts, [name])[0]
    assert score.value is not None, score.reason
    return score.value


def lens(frames: int, side: int = 64) -> np.ndarray:
    """fx, fy, cx, cy [frames, 4] of the world's cameras."""
    matrix = world_cameras.intrinsics(side, side)
    return np.tile([matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]], (frames, 1))


def solid_scene(first_seed: int, **wanted: str) -> Scene:
    """The first scene with one solid whose camera or motion is as wanted."""
    for seed in range(first_seed, first_seed + 1000):
        scene = sample_scene(seed, "test", people=0.0)
        known = {"camera": scene.camera, "motion": scene.solids[0].motion}
        if len(scene.solids) == 1 and wanted.items() <= known.items():
            return scene
    raise AssertionError(f"no scene with {wanted}")


def world_facts(clips: list[WorldClip], scene: Scene | None = None) -> Facts:
    """The cameras, and the plain caption, of renders that are views of one scene."""
    poses = np.stack([clip.poses for clip in clips])
    lenses = np.stack([lens(len(clip.frames), clip.frames.shape[1]) for clip in clips])
    return Facts(caption(scene) if scene else "", camera_to_world=poses, intrinsics=lenses, world=True)


def orbit_pair(scene: Scene, degrees: float, frames: int = 4) -> list[WorldClip]:
    """Two views of a scene, `degrees` apart around it, each at rest."""
    offset = np.array([0.0, world_cameras.HEIGHT, world_cameras.DISTANCE]) - world_cameras.TARGET
    angles = np.radians([-degrees / 2, degrees / 2])
    turned = [np.array([np.sin(a) * offset[2], offset[1], np.cos(a) * offset[2]]) for a in angles]
    poses = [world_cameras.look_at(world_cameras.TARGET + eye, world_cameras.TARGET) for eye in turned]
    return [render_clip(scene, frames, poses=np.stack([pose] * frames)) for pose in poses]
