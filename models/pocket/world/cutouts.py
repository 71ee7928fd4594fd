"""Pictures of a scene's first subject, cut out, from another view and moment than its clip: reference pictures."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from models.pocket.world import cameras
from models.pocket.world import scene as names
from models.pocket.world.clip import render_clip
from models.pocket.world.scene import Scene

ON_GROUND, LIFTED = 0.75, 0.95  # phase at which a bounce touches the ground in mid-clip; how high a rise is by then


def cutout(scene: Scene, rng: np.random.Generator, side: int = 96) -> UInt8[np.ndarray, "side side 4"]:
    """RGBA: the same solid, or the same person in the same dress, elsewhere: other pose, light, size and camera."""
    other = _elsewhere(scene, rng)
    target = cameras.FACE_TARGET if scene.person else cameras.TARGET + np.array([0, LIFTED if _rises(other) else 0, 0])
    distance = cameras.FACE_DISTANCE if scene.person else cameras.DISTANCE
    turn, lift = rng.uniform(-0.45, 0.45), rng.uniform(-0.05, 0.12) if scene.person else rng.uniform(0.05, 0.4)
    nearest, farthest = (0.95, 1.25) if scene.person else (0.75, 1.1)  # nearer, a hat leaves the picture
    eye = target + rng.uniform(nearest, farthest) * distance * np.array([math.sin(turn), lift, math.cos(turn)])
    clip = render_clip(other, 1, side, side, poses=cameras.look_at(eye, target)[None], supersample=1)
    alpha = np.where(clip.mask[0] == 1, 255, 0).astype(np.uint8)
    return np.dstack([clip.frames[0], alpha])


def _elsewhere(scene: Scene, rng: np.random.Generator) -> Scene:
    def pick(options) -> str:
        return str(rng.choice(list(options)))

    light = {"ground": pick(names.GROUNDS), "sky": pick(names.SKIES), "wall": pick(names.WALLS)}
    if scene.person is not None:
        return replace(scene, person=replace(scene.person, action=pick(names.ACTIONS)), **light)
    first = scene.solids[0]  # its motion stays: with another one it might be a combination that is held out
    turn = float(rng.uniform(-0.5, 0.5) if first.shape == "torus" else rng.uniform(-1.5, 1.5))
    phase = ON_GROUND if first.motion == "bounces" else float(rng.random())
    solid = replace(first, size=float(rng.uniform(0.75, 1.0)), place=(0.0, 0.0), turn=turn, phase=phase)
    return replace(scene, solids=(solid,), **light)


def _rises(scene: Scene) -> bool:
    return bool(scene.solids) and scene.solids[0].motion == "rises"
