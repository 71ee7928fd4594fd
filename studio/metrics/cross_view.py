"""Cross-view error: do two views show one scene, seen by the cameras that were asked for?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from studio.metrics.points import follow, lens_matrices, pictures
from studio.metrics.score import Metric, NotComparable, Reading
from studio.metrics.take import Take

LIMIT = 16.0  # pixels; frames of two views that share no points count as this, and no median may exceed it
FEWEST = 8  # points found in both views below which nothing is shared


def epipolar_distances(
    points: Float[np.ndarray, "points 2"],
    partners: Float[np.ndarray, "points 2"],
    pose: Float[np.ndarray, "4 4"],
    partner_pose: Float[np.ndarray, "4 4"],
    lens: Float[np.ndarray, "3 3"],
    partner_lens: Float[np.ndarray, "3 3"],
) -> Float[np.ndarray, " points"]:
    """Pixels from each point to the line (or, for cameras in one place, the point) where its partner says it must be,
    the mean of both directions. Poses are camera-to-world, OpenCV axes."""
    from models.common.cameras import fundamental_matrices
    from models.common.cameras.epipolar import SAME_PLACE

    transform = np.linalg.inv(partner_pose) @ pose
    ones = np.ones((len(points), 1))
    here, there = np.concatenate([points, ones], 1), np.concatenate([partners, ones], 1)
    if np.linalg.norm(transform[:3, 3]) < SAME_PLACE:
        turned = here @ (partner_lens @ transform[:3, :3] @ np.linalg.inv(lens)).T
        return np.linalg.norm(turned[:, :2] / turned[:, 2:] - partners, axis=1)
    fundamental = fundamental_matrices(transform, lens, partner_lens)
    lines, partner_lines = there @ fundamental, here @ fundamental.T
    off = np.abs((there * partner_lines).sum(1))
    lengths = (np.linalg.norm(side[:, :2], axis=1) for side in (lines, partner_lines))
    return off * sum(0.5 / np.maximum(length, 1e-12) for length in lengths)


def read(take: Take) -> Reading:
    """Median epipolar distance of the points that this view shares with each other view at the same time."""
    facts, views = take.facts, take.views
    if len(views) < 2:
        raise NotComparable("There is only one view.")
    if facts.camera_to_world is None or facts.intrinsics is None:
        raise NotComparable("The cameras of the views are not known.")
    count = min(len(view.frames) for view in views)
    poses, lenses = facts.camera_to_world, lens_matrices(facts.intrinsics, take.frames.shape[1])
    own, curves, shared = pictures(take.frames), [], []
    for other, view in enumerate(views):
        if view is take:
            continue
        theirs, curve = pictures(view.frames), []
        for frame in range(count):
            points, partners, corners = follow([own[frame], theirs[frame]])
            shared.append(len(points) / corners if corners else 0.0)
            cameras = (poses[take.index, frame], poses[other, frame])
            lens = (lenses[take.index, frame], lenses[other, frame])
            distance = LIMIT
            if len(points) >= FEWEST:
                distance = min(LIMIT, float(np.median(epipolar_distances(points, partners, *cameras, *lens))))
            curve.append(distance)
        curves.append(curve)
    curve = np.mean(curves, axis=0)
    note = f"{100 * np.mean(shared):.0f}% of the corners found in the other view"
    return Reading(float(curve.mean()), tuple(curve.tolist()), note)


METRIC = Metric(
    name="cross_view",
    title="Cross-view error",
    unit="pixels at 256 high",
    lowest=0.0,
    highest=LIMIT,
    better="lower",
    anchors=(8.0, 3.0, 1.5),
    help="How far points seen in two views lie from where the cameras say. Views that share nothing get the worst.",
    needs="two views of one job and their cameras",
    not_comparable="for one view, or between jobs with other cameras: wide angles are harder to match",
    read=read,
)
