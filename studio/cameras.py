"""The cameras that clips carry in their files, read back and checked: a file may come from anywhere."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.method import Camera
from studio.outputs import read_settings

KEPT = 256  # clips whose settings are remembered
MOST = 1e6  # of any number of a camera; a comparison with it is false for what is no number
OWN = ("clip", "cameras", "fps", "frames")  # settings in which the clips of one job differ


def clip_cameras(path: Path) -> tuple[Camera, ...]:
    """Of every frame; empty where the file says none, or nonsense."""
    settings = _settings(path)
    try:
        cameras = tuple(_camera(values) for values in settings["cameras"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return ()
    return cameras if len(cameras) == settings.get("frames") else ()


def same_job(path: Path, other: Path) -> bool:
    """Whether two clips are of one job, and so show one scene."""
    settings, others = _settings(path), _settings(other)
    return bool(settings) and all(
        settings.get(name) == others.get(name) for name in settings.keys() | others.keys() if name not in OWN
    )


def _camera(values: Mapping[str, Any]) -> Camera:
    pose, lens = tuple(map(float, values["pose"])), tuple(map(float, values["lens"]))
    if len(pose) != 16 or len(lens) != 4 or min(lens[:2]) <= 0 or not all(abs(n) < MOST for n in (*pose, *lens)):
        raise ValueError("not a camera")
    return Camera(pose, lens)


def _settings(path: Path) -> dict[str, Any]:
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else {}


@functools.lru_cache(maxsize=KEPT)
def _read(path: Path, changed: int) -> dict[str, Any]:
    try:
        return read_settings(path)
    except ValueError:  # a clean copy, or not ours
        return {}
