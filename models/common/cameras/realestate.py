"""RealEstate10K camera files: read, check, resample. Every complaint names the file and the line.

Line 1 is the video's address. Every other line is one frame, 19 numbers: timestamp (microseconds), fx fy cx cy
(fractions of width and height), two unused, and the 3x4 world-to-camera matrix row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from models.common.cameras.poses import invert_poses, relative_poses, resample_poses

COLUMNS = 19
MIN_FRAMES = 4
MAX_FRAMES = 2_000
MAX_BYTES = 8_000_000
ROTATION_TOLERANCE = 1e-3


class CameraFileError(ValueError):
    """A camera file that cannot be used; the message is one sentence for the person who chose it."""


@dataclass(frozen=True)
class CameraTrack:
    """One camera's path: poses world-to-camera, lenses (fx, fy, cx, cy) as fractions, timestamps in microseconds."""

    world_to_camera: Float[np.ndarray, "frames 4 4"]
    intrinsics: Float[np.ndarray, "frames 4"]
    timestamps: Float[np.ndarray, " frames"]

    @property
    def camera_to_world(self) -> Float[np.ndarray, "frames 4 4"]:
        return invert_poses(self.world_to_camera)

    def resampled(self, num_frames: int) -> CameraTrack:
        """The same path seen at `num_frames` evenly spread moments, both ends included."""
        if num_frames == len(self.timestamps):
            return self
        positions = np.linspace(0, len(self.timestamps) - 1, num_frames)
        given = np.arange(len(self.timestamps))
        lens = np.stack([np.interp(positions, given, column) for column in self.intrinsics.T], axis=1)
        poses = invert_poses(resample_poses(self.camera_to_world, num_frames))
        return CameraTrack(poses, lens, np.interp(positions, given, self.timestamps))

    def relative(self) -> Float[np.ndarray, "frames 4 4"]:
        """Camera-to-world poses seen from the first camera."""
        return relative_poses(self.camera_to_world)


def read_camera_file(path: str | Path) -> CameraTrack:
    """Parse and check one file. Raises CameraFileError (a ValueError)."""
    path = Path(path)
    if not path.is_file():
        raise CameraFileError(f"There is no camera file at {path.name!r}. Add the file again.")
    if path.stat().st_size > MAX_BYTES:
        raise CameraFileError(
            f"{path.name} has {path.stat().st_size:,} bytes, too many for a camera file (at most {MAX_BYTES:,}). "
            "Choose a RealEstate10K text file."
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CameraFileError(f"{path.name} is not a text file. Choose a RealEstate10K text file.") from None
    return parse_camera_text(text, path.name)


def parse_camera_text(text: str, name: str = "the camera file") -> CameraTrack:
    """The track written in `text`; `name` is how complaints call it."""
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if lines and len(lines[0][1]) == 1:
        lines = lines[1:]  # the video's address
    if len(lines) < MIN_FRAMES:
        raise CameraFileError(
            f"{name} has {len(lines)} camera lines; a path needs at least {MIN_FRAMES}. "
            "Choose a RealEstate10K file with one line per frame."
        )
    if len(lines) > MAX_FRAMES:
        raise CameraFileError(
            f"{name} has {len(lines):,} camera lines; at most {MAX_FRAMES:,} are read. Keep the part you need."
        )
    rows = np.array([_numbers(words, f"{name}, line {number}") for number, words in lines])
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3, :] = rows[:, 7:].reshape(-1, 3, 4)
    for (number, _), pose in zip(lines, poses, strict=True):
        _check_rotation(pose[:3, :3], f"{name}, line {number}")
    return CameraTrack(poses, rows[:, 1:5], rows[:, 0])


def _numbers(words: list[str], where: str) -> list[float]:
    if len(words) != COLUMNS:
        raise CameraFileError(
            f"{where} has {len(words)} columns; a RealEstate10K line has {COLUMNS} "
            "(timestamp, fx, fy, cx, cy, 0, 0 and twelve numbers of the pose)."
        )
    values = []
    for column, word in enumerate(words, 1):
        try:
            value = float(word)
        except ValueError:
            raise CameraFileError(f"{where}, column {column}: {word[:40]!r} is not a number.") from None
        if not np.isfinite(value):
            raise CameraFileError(f"{where}, column {column}: {word!r} is not a finite number.")
        values.append(value)
    if values[1] <= 0 or values[2] <= 0:
        raise CameraFileError(f"{where}: the focal lengths are {values[1]:g} and {values[2]:g}; both must be above 0.")
    return values


def _check_rotation(rotation: Float[np.ndarray, "3 3"], where: str) -> None:
    error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if error > ROTATION_TOLERANCE:
        raise CameraFileError(
            f"{where}: the rotation is not orthonormal (R R^T differs from the identity by {error:.2g}; "
            f"at most {ROTATION_TOLERANCE:g} is rounding). Columns 8-10, 12-14 and 16-18 must hold a rotation."
        )
    if np.linalg.det(rotation) < 0:
        raise CameraFileError(
            f"{where}: the rotation is mirrored (determinant -1). Convert it to OpenCV's axes first."
        )
