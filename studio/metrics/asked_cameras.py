"""The cameras that clips were asked to be seen from, as the metrics need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.method import Clip


def asked_cameras(clips: Sequence[Clip]) -> dict[str, Any]:
    """`camera_to_world` and `intrinsics` of Facts for the clips of one job; empty where a clip says none."""
    counts = {len(clip.cameras) for clip in clips}
    if not clips or len(counts) > 1 or 0 in counts:
        return {}
    height, width = clips[0].frames.shape[1:3]
    poses = np.array([[camera.pose for camera in clip.cameras] for clip in clips])
    lenses = np.array([[camera.lens for camera in clip.cameras] for clip in clips])
    return {
        "camera_to_world": poses.reshape(*poses.shape[:2], 4, 4),
        "intrinsics": lenses * np.array([width, height, width, height]),
    }
