"""Portraits of the world's people with what a face recogniser learns from: landmarks and part labels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8

from models.common.faces import CLOTH, HAIR, HAT, NECK, NOSE, SKIN
from models.pocket.world import cameras
from models.pocket.world import scene as names
from models.pocket.world.primitives import CENTRE, HALF, OWNER, ROTATION, primitives
from models.pocket.world.scene import WALLS, Person, Scene
from models.pocket.world.tracer import WALL, trace_clip

HAIR_ROWS = {"short": 1, "long": 3, "curly": 3, "bald": 0}
MOMENTS = 20  # of an action, from which a portrait takes one
MOUTH_WIDTH = 0.30


@dataclass(frozen=True)
class Portrait:
    """`landmarks`: left and right eye, nose, left and right corner of the mouth as (x, y) in pixels, by their place in
    the picture; `parts`: a CelebAMask-HQ label per pixel."""

    image: UInt8[np.ndarray, "height width 3"]
    landmarks: Float[np.ndarray, "5 2"]
    parts: UInt8[np.ndarray, "height width"]


def portrait(person: Person, rng: np.random.Generator | None = None, side: int = 96, supersample: int = 2) -> Portrait:
    """One picture of a person: from the front and smiling without `rng`, else any pose, dress, light wall and view."""
    eye, target, moment = np.array([0.0, 1.55, cameras.FACE_DISTANCE * 0.8]), cameras.FACE_TARGET, MOMENTS // 2
    wall = "grey"
    if rng is not None:
        turn, lift = rng.uniform(-0.45, 0.45), rng.uniform(-0.15, 0.25)
        distance = rng.uniform(0.62, 1.25) * cameras.FACE_DISTANCE
        aim = np.array([rng.uniform(-0.25, 0.25), rng.uniform(-0.25, 0.2), 0.0])
        target = cameras.FACE_TARGET + aim
        eye = target + distance * np.array([math.sin(turn), lift, math.cos(turn)])
        moment, wall = int(rng.integers(MOMENTS)), str(rng.choice(list(WALLS)))
        person = replace(
            person,
            hat=str(rng.choice(names.HATS, p=(0.6, 0.2, 0.2))),
            hat_colour=str(rng.choice(list(names.COLOURS))),
            shirt=str(rng.choice(list(names.COLOURS))),
            action=str(rng.choice(names.ACTIONS)),
        )
    pose = cameras.look_at(eye, target)
    rows, painted = primitives(Scene(person=person), MOMENTS)
    rows, painted = rows[moment : moment + 1], painted[moment : moment + 1]
    image = _trace(rows, painted, pose, side, np.asarray(WALLS[wall]), supersample)[0]
    labelled = rows.copy()
    labelled[:, :, OWNER] = part_labels(person)
    parts = _trace(labelled, painted, pose, side, np.zeros(3), 1)[1]
    return Portrait(image, project(head_points(rows[0, 0], painted[0]), pose, side), parts)


def part_labels(person: Person) -> list[int]:
    """One label per primitive, in the order in which a person is built."""
    hat = [HAT, HAT] if person.hat != "none" else []
    return [SKIN, NOSE, CLOTH, NECK, *[HAIR] * HAIR_ROWS[person.hair_style], *hat]


def head_points(head: np.ndarray, face: np.ndarray) -> Float[np.ndarray, "5 3"]:
    """World positions of the five landmarks, from the head's row and the painted face's numbers."""
    apart, jaw = face[15], face[16]
    local = np.array(
        [(-apart, 0.10), (apart, 0.10), (0, -0.12), (-MOUTH_WIDTH, jaw / 2 - 0.5), (MOUTH_WIDTH, jaw / 2 - 0.5)]
    )
    depth = np.sqrt(np.maximum(1 - (local**2).sum(1), 0))
    depth[2] = 1.12  # the tip of the nose stands out
    points = np.concatenate([local, depth[:, None]], 1) * head[HALF : HALF + 3]
    return head[CENTRE : CENTRE + 3] + points @ head[ROTATION : ROTATION + 9].reshape(3, 3).T


def project(points: np.ndarray, pose: np.ndarray, side: int) -> Float[np.ndarray, "points 2"]:
    """World points [points, 3] -> pixels (x, y) of a square picture."""
    seen = (points - pose[:3, 3]) @ pose[:3, :3]
    image = seen @ cameras.intrinsics(side, side).T
    return (image[:, :2] / image[:, 2:]).astype(np.float32)


def _trace(rows, painted, pose, side, wall, supersample) -> tuple[np.ndarray, np.ndarray]:
    frames = np.empty((1, side, side, 3), np.uint8)
    depth, mask = np.empty((1, side, side), np.float32), np.empty((1, side, side), np.uint8)
    focal = cameras.intrinsics(side, side)[0, 0]
    trace_clip(rows, painted, pose[None].astype(np.float64), focal, WALL, 0, wall, np.zeros(3), supersample,
               frames, depth, mask)  # fmt: skip
    return frames[0], mask[0]
