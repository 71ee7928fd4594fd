"""Camera geometry by its properties, over random cameras."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.common import cameras
from models.common.cameras.paths import layout_paths
from models.common.cameras.poses import quaternion_from, rotation_from_quaternion, rotation_vector

settings.register_profile("cameras", max_examples=40, deadline=None, derandomize=True)
settings.load_profile("cameras")

components = st.floats(-1, 1, allow_nan=False, width=32)


@st.composite
def rotations(draw):
    quaternion = draw(arrays(np.float64, 4, elements=components).filter(lambda q: np.linalg.norm(q) > 0.2))
    return rotation_from_quaternion(quaternion / np.linalg.norm(quaternion))


@st.composite
def poses(draw):
    pose = np.eye(4)
    pose[:3, :3] = draw(rotations())
    pose[:3, 3] = draw(arrays(np.float64, 3, elements=components))
    return pose


@st.composite
def lenses(draw):
    focal = draw(st.floats(60, 400))
    return np.array([focal, focal * draw(st.floats(0.8, 1.2)), draw(st.floats(100, 150)), draw(st.floats(100, 150))])


@given(poses(), poses(), lenses(), lenses(), arrays(np.float64, (8, 3), elements=components))
def test_a_point_lies_on_the_epipolar_line_of_its_other_image(first, second, lens1, lens2, points):
    k1, k2 = cameras.intrinsic_matrices(np.stack([lens1, lens2]))
    transform = np.linalg.inv(second) @ first
    matrix = cameras.fundamental_matrices(transform, k1, k2)
    seen_first = points + np.array([0, 0, 4.0])
    seen_second = seen_first @ transform[:3, :3].T + transform[:3, 3]
    x1, x2 = seen_first @ k1.T, seen_second @ k2.T  # homogeneous pixels
    residual = np.einsum("ni,ij,nj->n", x2, matrix, x1)
    scale = np.einsum("ni,ij,nj->n", np.abs(x2), np.abs(matrix), np.abs(x1)) + 1e-12
    assert np.all(np.abs(residual) <= 1e-9 * scale)


@given(poses(), poses(), lenses())
def test_the_fundamental_matrix_of_swapped_views_is_the_transpose(first, second, lens):
    views = np.stack([first, second])[:, None]
    between = cameras.fundamental_matrices_between(views, cameras.intrinsic_matrices(np.tile(lens, (2, 1, 1))))
    forward, backward = between[0, 1][0], between[1, 0][0]
    np.testing.assert_allclose(forward, backward.T, atol=1e-5 * max(np.abs(forward).max(), 1e-9))


@given(poses())
def test_views_from_the_same_place_have_no_epipolar_lines(pose):
    views = np.stack([pose, pose.astype(np.float32).astype(np.float64)])[:, None]
    lens = cameras.intrinsic_matrices(np.full((2, 1, 4), 100.0))
    assert np.all(cameras.fundamental_matrices_between(views, lens)[0, 1] == 0)


@given(rotations(), rotations())
def test_slerp_meets_both_ends_and_stays_a_rotation(start, end):
    path = cameras.slerp(start, end, np.linspace(0, 1, 5))
    np.testing.assert_allclose(path[0], start, atol=1e-9)
    np.testing.assert_allclose(path[-1], end, atol=1e-7)
    np.testing.assert_allclose(path @ np.swapaxes(path, -1, -2), np.tile(np.eye(3), (5, 1, 1)), atol=1e-9)
    turns = [np.linalg.norm(rotation_vector(a.T @ b)) for a, b in itertools.pairwise(path)]
    np.testing.assert_allclose(turns, turns[0], atol=1e-6)


@given(rotations())
def test_quaternions_round_trip(rotation):
    np.testing.assert_allclose(rotation_from_quaternion(quaternion_from(rotation)), rotation, atol=1e-9)


@given(poses(), st.sampled_from(sorted(cameras.CONVENTIONS)), st.sampled_from(sorted(cameras.CONVENTIONS)))
def test_conventions_round_trip(pose, source, target):
    there = cameras.convert_convention(pose, source, target)
    np.testing.assert_allclose(cameras.convert_convention(there, target, source), pose, atol=1e-12)
    np.testing.assert_allclose(there[:3, 3], pose[:3, 3])  # a camera does not move when its axes are renamed


def test_opengl_flips_the_second_and_third_axis():
    flipped = cameras.convert_convention(np.eye(4), "opencv", "opengl")
    np.testing.assert_array_equal(np.diag(flipped), [1, -1, -1, 1])


@given(st.lists(poses(), min_size=4, max_size=6), st.integers(2, 20))
def test_resampling_keeps_the_ends_and_the_given_poses(path, num_frames):
    path = np.stack(path)
    resampled = cameras.resample_poses(path, num_frames)
    np.testing.assert_allclose(resampled[[0, -1]], path[[0, -1]], atol=1e-9)
    doubled = cameras.resample_poses(path, 2 * len(path) - 1)
    np.testing.assert_allclose(doubled[::2], path, atol=1e-7)


@given(st.lists(poses(), min_size=2, max_size=4), poses())
def test_relative_poses_do_not_depend_on_the_world(path, world):
    path = np.stack(path)
    relative = cameras.relative_poses(path)
    np.testing.assert_array_equal(relative[0], np.eye(4))
    np.testing.assert_allclose(cameras.relative_poses(world @ path), relative, atol=1e-6)


@given(poses(), lenses())
def test_a_ray_passes_through_the_camera_and_its_pixel(pose, lens):
    rays = cameras.plucker_rays(pose, lens, 6, 8)
    moment, direction = rays[:3, 2, 5], rays[3:, 2, 5]
    np.testing.assert_allclose(np.cross(pose[:3, 3], direction), moment, atol=1e-5)
    seen = pose[:3, :3].T @ direction
    np.testing.assert_allclose(lens[:2] * seen[:2] / seen[2] + lens[2:], [5.5, 2.5], rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(np.linalg.norm(rays[3:], axis=0), 1, atol=1e-6)


def test_a_ray_is_right_when_an_axis_has_length_three():
    pose = np.tile(np.eye(4), (3, 1, 1))
    pose[:, :3, 3] = [0.1, 0.2, 0.3]
    rays = cameras.plucker_rays(pose, np.full((3, 4), 10.0), 3, 3)
    np.testing.assert_allclose(rays[:, :3, 1, 2], np.cross(pose[:, :3, 3], rays[:, 3:, 1, 2]), atol=1e-6)


@given(st.floats(0.3, 2), st.floats(0.3, 2), st.integers(64, 512), st.integers(64, 512))
def test_cropping_keeps_what_a_pixel_sees(fx, fy, height, width):
    original = (720, 1280)
    lens = cameras.pixel_intrinsics(np.array([fx, fy, 0.5, 0.5]), height, width, original_size=original)
    scale = max(height / original[0], width / original[1])  # resized to cover, then cropped at the centre
    np.testing.assert_allclose(lens[:2], [fx * original[1] * scale, fy * original[0] * scale], rtol=1e-9)
    np.testing.assert_allclose(lens[2:], [width / 2, height / 2])


@pytest.mark.parametrize("name", [*cameras.VIEW_LAYOUTS, "orbit", "pan", "dolly", *cameras.PATHS])
@pytest.mark.parametrize("num_views", [1, 2, 5])
def test_every_path_starts_at_the_identity_and_is_rigid(name, num_views):
    paths = cameras.camera_paths(name, num_views, 7)
    assert paths.shape == (num_views, 7, 4, 4)
    np.testing.assert_allclose(paths[:, 0], np.tile(np.eye(4), (num_views, 1, 1)), atol=1e-12)
    rotation = paths[..., :3, :3]
    np.testing.assert_allclose(rotation @ np.swapaxes(rotation, -1, -2), np.broadcast_to(np.eye(3), rotation.shape),
                               atol=1e-9)  # fmt: skip
    assert np.all(np.linalg.det(rotation) > 0)


@pytest.mark.parametrize("name", ["orbit left", "orbit right", *cameras.VIEW_LAYOUTS])
def test_paths_end_looking_at_the_subject(name):
    last = cameras.camera_paths(name, 3, 9)[:, -1]
    towards = np.array([0, 0, 1.0]) - last[:, :3, 3]
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    np.testing.assert_allclose(last[:, :3, 2], towards, atol=1e-9)


def test_orbit_right_moves_the_camera_to_the_right():
    assert cameras.camera_path("orbit right", 5)[-1, 0, 3] > 0.1
    assert cameras.camera_path("dolly in", 5)[-1, 2, 3] > 0.1
    assert cameras.camera_path("pan right", 5)[-1, 0, 2] > 0.1


def test_upper_hemisphere_is_above():
    last = layout_paths("upper hemisphere", 5, 4)[:, -1]
    assert np.all(last[:, 1, 3] < 1e-9)  # y points down


def test_an_unknown_path_lists_the_known_ones():
    with pytest.raises(ValueError, match="Known: circle, upper hemisphere"):
        cameras.camera_paths("spiral", 2, 4)
