"""The cameras that a request asked for, as the metrics need them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from models.method import Clip


def asked_cameras(method: str, request: Mapping[str, Any], clips: Sequence[Clip]) -> dict[str, Any]:
    """`camera_to_world` and `intrinsics` of Facts for the clips of one job; empty for methods without cameras.

    A method with a camera path has `models.<name>.cameras.view_cameras`, which makes them from the request.
    """
    description = request.get("cameras")
    if not isinstance(description, str) or not clips or not method.isidentifier():
        return {}
    count, height, width = clips[0].frames.shape[:3]
    try:
        view_cameras = importlib.import_module(f"models.{method}.cameras").view_cameras
        strength = float(request.get("strength", 1.0))
        made = view_cameras(description, len(clips), count, height, width, strength=strength)
    except (ImportError, AttributeError, OSError, TypeError, ValueError):  # a pose file that is gone, say
        return {}
    return {"camera_to_world": made.camera_to_world, "intrinsics": made.intrinsics}
