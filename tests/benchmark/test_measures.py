"""The measures of the claims, on renders whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from models.common import cameras as geometry
from models.common.cameras.paths import dolly, orbit
from models.pocket.recipes.camera_scenes import FRAMES, LENS, film, in_the_world, random_path, solid_scene, words
from models.pocket.recipes.poor_videos import poor_copy
from models.pocket.world import cameras as world
from tests.benchmark.cross_view import NEAR, colour_error, correspondence, epipolar_distances, tracked_points
from tests.benchmark.customvideox_claims import off_colour
from tests.benchmark.world_features import frechet, resampled_frechet, sharpness, with_interval

SCENES = range(6)


def views(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Renders of a still scene along two paths, and the paths."""
    paths = np.stack([orbit(FRAMES, 0.35), orbit(FRAMES, -0.35)])
    scene = solid_scene(number, "test", still=True)
    return np.stack([film(scene, path) for path in paths]), paths


def lines(paths: np.ndarray) -> np.ndarray:
    matrices = geometry.intrinsic_matrices(np.tile(LENS, (2, FRAMES, 1)))
    return geometry.fundamental_matrices_between(paths, matrices)[0, 1]


def test_points_tracked_between_renders_lie_on_their_true_lines() -> None:
    near, far = [], []
    for number in SCENES:
        clips, paths = views(number)
        matches = tracked_points(clips[0, 8], clips[1, 8])
        if len(matches):
            near += list(epipolar_distances(matches, lines(paths)[8]) < NEAR)
            far += list(epipolar_distances(matches, lines(np.stack([dolly(FRAMES, 1.0), paths[0]]))[8]) < NEAR)
    assert len(near) >= 12
    assert np.mean(near) > 0.7
    assert np.mean(far) < np.mean(near) - 0.3


def test_matched_points_of_renders_have_one_colour() -> None:
    for number in SCENES:
        clips, paths = views(number)
        placed, seen = correspondence(solid_scene(number, "test", still=True), paths)
        assert seen[0].mean() > 0.3
        truth = colour_error(clips[0], clips[1], placed, seen)
        elsewhere = colour_error(clips[0], views(number + 50)[0][1], placed, seen)
        assert truth < 12
        assert elsewhere > 2 * truth


def test_a_path_keeps_its_relative_poses_in_the_world() -> None:
    path = random_path(np.random.default_rng(3))
    poses = in_the_world(path)
    unit = np.linalg.norm(poses[0, :3, 3] - world.TARGET)
    relative = geometry.relative_poses(poses)
    relative[:, :3, 3] /= unit
    np.testing.assert_allclose(relative, path, atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_random_paths_start_at_rest_and_stay_above_the_ground(seed: int) -> None:
    path = random_path(np.random.default_rng(seed))
    assert path.shape == (FRAMES, 4, 4)
    np.testing.assert_allclose(path[0], np.eye(4), atol=1e-6)
    assert in_the_world(path)[:, 1, 3].min() > 0.2


def test_words_say_nothing_of_the_camera() -> None:
    for seed in range(60):
        assert "camera" not in words(solid_scene(seed), np.random.default_rng(seed))


def test_a_poor_copy_is_softer_and_marked() -> None:
    clip = film(solid_scene(1, "test", still=True), np.tile(np.eye(4), (2, 1, 1)))
    poor = poor_copy(clip)
    assert poor.shape == clip.shape
    assert poor.dtype == np.uint8
    assert sharpness(poor[:1, :40]) < sharpness(clip[:1, :40])
    marked = poor_copy(np.full((1, 64, 64, 3), 60, np.uint8)).astype(int) - 60
    assert marked[0, 49:58, 14:50].mean() > 8
    assert np.abs(marked[0, :40]).max() < 4


def test_frechet_distance_of_a_shift_and_of_a_scale() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5))
    assert frechet(rows, rows) == pytest.approx(0, abs=1e-6)
    assert frechet(rows, rows + 2.0) == pytest.approx(5 * 2.0**2, rel=1e-6)
    centred = rows - rows.mean(0)
    assert frechet(centred, 3 * centred) == pytest.approx(2**2 * np.cov(rows, rowvar=False).trace(), rel=1e-6)


def test_a_paired_difference_of_distances_is_surer_than_the_distances() -> None:
    rng = np.random.default_rng(0)
    real, made = rng.normal(size=(2, 300, 4))
    distances = [resampled_frechet(made * (1 + rng.normal(size=(300, 1)) / 100) + shift, real) for shift in (1.0, 1.2)]
    difference = with_interval(distances[1] - distances[0])
    assert difference["mean"] == pytest.approx(4 * (1.2**2 - 1), rel=0.2)
    assert difference["half"] < min(with_interval(d)["half"] for d in distances) / 2


@pytest.mark.parametrize("light", [1.0, 0.5])
def test_off_colour_is_how_far_a_colour_is_from_what_is_nearest_to_it_in_any_light(light: float) -> None:
    teal, frames = (0.1, 0.7, 0.7), np.full((2, 64, 64, 3), 160, np.uint8)
    frames[:, 20:40, 20:40] = np.array([25.5, 178.5, 178.5]) * light
    assert off_colour(frames, teal) < 0.5
    assert off_colour(frames, (0.9, 0.2, 0.5)) > 20
    frames[:, 32:40] = frames[:, 20:40, 32:] = 160  # 12 x 12 pixels are a thirtieth of the frame still
    assert off_colour(frames, teal) < 0.5
    frames[:, 26:40] = 160
    assert off_colour(frames, teal) > 5, "a few pixels of it are not the subject"
