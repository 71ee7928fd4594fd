"""Camera error: the angle between the camera's movement that was asked for and the one that is seen."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float

from studio.metrics.points import SIDE, follow, lens_matrices, pictures, rays
from studio.metrics.relative_pose import angle_between, angle_of, fitted_poses
from studio.metrics.score import Metric, NotComparable, Reading
from studio.metrics.take import Take

WINDOWS = 6  # the clip is measured in this many pieces: over longer ones too few points stay in the picture
FEWEST = 12
TURNS_ONLY = 0.02  # of the longest step, below which the camera is asked to turn without moving
LOST = 90.0  # degrees counted for a piece through which no points could be followed


def pose_error(
    start: Float[np.ndarray, "points 3"],
    end: Float[np.ndarray, "points 3"],
    asked: Float[np.ndarray, "4 4"],
    turns_only: bool,
    focal: float,
) -> float:
    """Degrees. `start` and `end` are the rays of the same points, `asked` takes the first camera to the last.

    The larger of the errors in turning and in direction of movement (as SuperGlue counts, Sarlin 2020); for a camera
    that only turns, the median angle between where a point is and where the turn puts it.
    """
    rotation, translation = asked[:3, :3], asked[:3, 3]
    if turns_only:
        return float(np.median(angle_between(start @ rotation.T, end)))
    errors = [
        max(angle_of(found.T @ rotation), float(angle_between(direction, translation)))
        for found, direction in fitted_poses(start, end, rotation, translation, focal)
    ]
    return min(errors)


def read(take: Take) -> Reading:
    """Mean error over equal pieces of the clip; every frame of a piece has the piece's number."""
    facts, count = take.facts, len(take.frames)
    if facts.camera_to_world is None or facts.intrinsics is None:
        raise NotComparable("No camera path was asked for, or it is not known.")
    if count < 3:
        raise NotComparable("A camera path needs three frames.")
    poses = facts.camera_to_world[take.index]
    lens = lens_matrices(facts.intrinsics[take.index], take.frames.shape[1])
    images = pictures(take.frames)
    borders = np.unique(np.linspace(0, count - 1, min(WINDOWS, count - 1) + 1).round().astype(int))
    pieces = list(itertools.pairwise(borders.tolist()))
    asked = [np.linalg.inv(poses[last]) @ poses[first] for first, last in pieces]
    steps = np.array([np.linalg.norm(transform[:3, 3]) for transform in asked])
    curve: list[float | None] = [None] * count
    for (first, last), transform, step in zip(pieces, asked, steps, strict=True):
        points, followed, _ = follow(images[first : last + 1])
        error = LOST
        if len(points) >= FEWEST:
            ends = rays(points, lens[first]), rays(followed, lens[last])
            turns_only = bool(step <= max(TURNS_ONLY * steps.max(), 1e-6))
            error = pose_error(*ends, transform, turns_only, float(lens[first, 0, 0]))
        curve[first + 1 : last + 1] = [error] * (last - first)
    known = [value for value in curve if value is not None]
    return Reading(float(np.mean(known)), tuple(curve))


METRIC = Metric(
    name="camera",
    title="Camera error",
    unit="degrees",
    lowest=0.0,
    highest=180.0,
    better="lower",
    anchors=(60.0, 30.0, 10.0),
    help=f"How far the camera's seen movement is from the path asked for; points followed at {SIDE} pixels.",
    needs="a camera path and its lens",
    not_comparable="between kinds of path, where the subject fills the picture, or where nothing has texture",
    read=read,
)
