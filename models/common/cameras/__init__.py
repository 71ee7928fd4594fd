"""Cameras without torch: pose files, relative poses, intrinsics, rays, epipolar geometry and paths.

Poses are camera-to-world in the OpenCV convention (x right, y down, z forward) unless a name says otherwise.
"""

from models.common.cameras.epipolar import (
    cross_matrix,
    essential_matrix,
    fundamental_matrices,
    fundamental_matrices_between,
)
from models.common.cameras.intrinsics import (
    DEFAULT_INTRINSICS,
    Intrinsics,
    intrinsic_matrices,
    pixel_intrinsics,
)
from models.common.cameras.paths import FANS, PATHS, VIEW_LAYOUTS, camera_path, camera_paths, look_at_pose
from models.common.cameras.poses import (
    CONVENTIONS,
    convert_convention,
    interpolate_poses,
    invert_poses,
    relative_poses,
    resample_poses,
    slerp,
)
from models.common.cameras.rays import plucker_rays
from models.common.cameras.realestate import CameraFileError, CameraTrack, read_camera_file

__all__ = [
    "CONVENTIONS",
    "DEFAULT_INTRINSICS",
    "FANS",
    "PATHS",
    "VIEW_LAYOUTS",
    "CameraFileError",
    "CameraTrack",
    "Intrinsics",
    "camera_path",
    "camera_paths",
    "convert_convention",
    "cross_matrix",
    "essential_matrix",
    "fundamental_matrices",
    "fundamental_matrices_between",
    "interpolate_poses",
    "intrinsic_matrices",
    "invert_poses",
    "look_at_pose",
    "pixel_intrinsics",
    "plucker_rays",
    "read_camera_file",
    "relative_poses",
    "resample_poses",
    "slerp",
]
