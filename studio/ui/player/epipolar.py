"""Where a point of one clip must be seen in the others: what the player needs to draw epipolar lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.method import Camera
from studio.cameras import clip_cameras, same_job

DIGITS = 6
Links = list[list[list[dict[str, Any]] | None]]  # [clip][other clip][frame]


def epipolar_links(clips: Sequence[Path]) -> Links | None:
    """Per ordered pair of clips of one job and per frame, a 3x3 matrix row by row; None when no clips are so related.

    {"line": F}: a point (u, v, 1) of the clip lies on the line F (u, v, 1) in the other. {"point": H}: the two cameras
    stand in one place, and it lies at H (u, v, 1). u and v go from 0 to 1 across and down a picture.
    """
    cameras = [clip_cameras(path) for path in clips]
    found: Links = [[None] * len(clips) for _ in clips]
    for index, first in enumerate(clips):
        for other in range(index + 1, len(clips)):
            if not cameras[index] or len(cameras[index]) != len(cameras[other]) or not same_job(first, clips[other]):
                continue
            there, back = between(cameras[index], cameras[other])
            found[index][other], found[other][index] = there, back
    return found if any(pair for row in found for pair in row) else None


def between(cameras: Sequence[Camera], others: Sequence[Camera]) -> list[list[dict[str, Any]] | None]:
    """From the first to the second, and back. A pose that cannot be inverted links nothing."""
    import numpy as np

    from models.common.cameras import fundamental_matrices_between, intrinsic_matrices, invert_poses

    poses = np.array([[camera.pose for camera in view] for view in (cameras, others)]).reshape(2, -1, 4, 4)
    lenses = intrinsic_matrices(np.array([[camera.lens for camera in view] for view in (cameras, others)]))
    try:
        fundamental = fundamental_matrices_between(poses, lenses)
        turns = [
            lenses[1 - view] @ (invert_poses(poses[1 - view]) @ poses[view])[:, :3, :3] @ np.linalg.inv(lenses[view])
            for view in (0, 1)
        ]
    except np.linalg.LinAlgError:
        return [None, None]
    return [
        [
            {"line": _rounded(line)} if line.any() else {"point": _rounded(turn)}
            for line, turn in zip(fundamental[view, 1 - view], turns[view], strict=True)
        ]
        for view in (0, 1)
    ]


def _rounded(matrix: Any) -> list[float]:
    """Row by row, scaled so that the largest entry is 1: only ratios matter."""
    return (matrix / abs(matrix).max()).ravel().astype(float).round(DIGITS).tolist()
