"""The cameras of one CVD job: a pose and lens per view and frame, their rays, and the geometry between views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from models.common import cameras as geometry
from models.common.cameras.realestate import CameraTrack
from models.method import Camera, is_camera_file, path_entries

DECIMALS = 8  # of the numbers that go with a clip
REALESTATE_SIZE = (720, 1280)
"""Height and width of the videos behind RealEstate10K files, whose lenses are given as fractions of it."""


@dataclass(frozen=True)
class ViewCameras:
    """Camera-to-world poses and lenses (fx, fy, cx, cy in pixels) of every view and frame.

    `epipolar_intrinsics` are the lenses of the fundamental matrices where they differ from those of the rays.
    """

    camera_to_world: Float[np.ndarray, "views frames 4 4"]
    intrinsics: Float[np.ndarray, "views frames 4"]
    epipolar_intrinsics: Float[np.ndarray, "views frames 4"] | None = None

    def fundamental_matrices(self) -> dict[tuple[int, int], Float[np.ndarray, "frames 3 3"]]:
        """(view, partner) -> F of each frame, for every ordered pair of views."""
        lens = self.intrinsics if self.epipolar_intrinsics is None else self.epipolar_intrinsics
        return geometry.fundamental_matrices_between(self.camera_to_world, geometry.intrinsic_matrices(lens))

    def rays(self, height: int, width: int) -> Float[np.ndarray, "views 6 frames height width"]:
        """Pluecker rays as the pose encoder takes them."""
        poses, lens = self.camera_to_world.astype(np.float32), self.intrinsics.astype(np.float32)
        return np.moveaxis(geometry.plucker_rays(poses, lens, height, width), 1, 2)

    def described(self, height: int, width: int) -> tuple[tuple[Camera, ...], ...]:
        """Of every view and frame, as a clip carries them."""
        poses = self.camera_to_world.reshape(*self.camera_to_world.shape[:2], 16).round(DECIMALS).tolist()
        lenses = (self.intrinsics / np.array([width, height, width, height])).round(DECIMALS).tolist()
        return tuple(
            tuple(Camera(tuple(pose), tuple(lens)) for pose, lens in zip(*view, strict=True))
            for view in zip(poses, lenses, strict=True)
        )


def view_cameras(
    description: str,
    num_views: int,
    num_frames: int,
    height: int,
    width: int,
    *,
    strength: float = 1.0,
    focal_length: float = geometry.DEFAULT_INTRINSICS.fx,
) -> ViewCameras:
    """Cameras from what a person wrote: one path for all views ("circle"), or one per view separated by ";".

    A view's entry is a path's name ("orbit left") or a RealEstate10K file. `focal_length` is the lens of named paths
    as a fraction of the picture's side. ValueError says what does not fit.
    """
    entries = path_entries(description)
    default = np.tile(np.array([focal_length, focal_length, 0.5, 0.5]), (num_frames, 1))
    if len(entries) == 1 and not is_camera_file(entries[0]):
        poses = geometry.camera_paths(entries[0], num_views, num_frames, strength)
        lens = np.stack([geometry.pixel_intrinsics(default, height, width, original_size=(1, 1))] * num_views)
        return ViewCameras(poses, lens)
    if len(entries) != num_views:
        raise ValueError(
            f"There {'is 1 camera path' if len(entries) == 1 else f'are {len(entries)} camera paths'} for "
            f"{num_views} views. Give one path for all views, "
            "or one per view separated by semicolons."
        )
    poses, lenses = [], []
    for entry in entries:
        if is_camera_file(entry):
            track = geometry.read_camera_file(entry).resampled(num_frames)
            poses.append(track.relative())
            lenses.append(geometry.pixel_intrinsics(track.intrinsics, height, width, original_size=REALESTATE_SIZE))
        else:
            poses.append(geometry.camera_path(entry, num_frames, strength))
            lenses.append(geometry.pixel_intrinsics(default, height, width, original_size=(1, 1)))
    return ViewCameras(np.stack(poses), np.stack(lenses))


def folded_pair(first: CameraTrack, second: CameraTrack, size: int, *, as_released: bool = True) -> ViewCameras:
    """Two views from two files that meet in their first frame: the second path runs backwards in time.

    `as_released` repeats the authors' pair script to the number: it swaps the video's height and width, takes the
    first frame's lens from the second file, and uses the first file's lens on both sides of the fundamental
    matrices. Source: CVD animatediff/data/dataset_validation.py:163-240; without it the geometry is the right one.
    """
    poses = np.stack(
        [geometry.relative_poses(first.camera_to_world), geometry.relative_poses(second.camera_to_world[::-1])]
    ).astype(np.float32)
    if not as_released:
        lenses = [
            geometry.pixel_intrinsics(lens, size, size, original_size=REALESTATE_SIZE)
            for lens in (first.intrinsics, second.intrinsics[::-1])
        ]
        return ViewCameras(poses, np.stack(lenses))
    lens, other = (_swapped_crop(track.intrinsics, size) for track in (first, second))
    rays = np.stack([lens, other[::-1]])
    rays[0, 0] = rays[1, 0]
    return ViewCameras(poses, rays, epipolar_intrinsics=np.stack([lens, lens]))


def _swapped_crop(fractions: Float[np.ndarray, "frames 4"], size: int) -> Float[np.ndarray, "frames 4"]:
    """Lens after the authors' centre crop, which takes the video for 1280 high and 720 wide."""
    width, height = REALESTATE_SIZE
    crop = min(height, width)
    pixels = fractions * np.array([width, height, width, height])
    pixels[:, 2:] -= (np.array([width, height]) - crop) / 2
    return pixels * (size / crop)
