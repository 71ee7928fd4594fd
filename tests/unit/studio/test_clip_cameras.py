"""The cameras of a job's clips: into the files, back out, and as links between the views of the player."""

from __future__ import annotations

import json
import shutil
from itertools import product
from typing import Any

import numpy as np
import pytest

from models.cvd import METHOD
from models.cvd.config import CvdRequest
from models.method import Camera, Clip
from studio.cameras import clip_cameras, same_job
from studio.events import JobSpec
from studio.outputs import read_settings, save
from studio.ui import player
from studio.ui.player.epipolar import epipolar_links

FRAMES = 8


def cvd_cameras(**changes) -> Any:
    assert METHOD.cameras is not None
    return METHOD.cameras(CvdRequest(prompt="a ball", num_frames=FRAMES, **changes))


def links(paths) -> Any:
    """Those of clips that have some."""
    found = epipolar_links(paths)
    assert found is not None
    return found


@pytest.fixture
def make(preset, tmp_path):
    """make(cameras of each view) saves the clips of one job and gives their paths."""

    def made(views, seed=1):
        request = type(preset.request)(seed=seed)
        spec = JobSpec("job", preset.key, preset.method.name, request, preset.recipe)
        pixels = np.full((FRAMES, 32, 64, 3), 90, np.uint8)
        clips = [Clip(pixels, 8, f"view {index}", cameras) for index, cameras in enumerate(views, 1)]
        return save(clips, spec, tmp_path).paths

    return made


def project(camera: Camera, points: np.ndarray) -> np.ndarray:
    """World points [n, 3] as homogeneous (u, v, 1) of the picture, 0 to 1 across and down."""
    pose = np.array(camera.pose).reshape(4, 4)
    seen = (points - pose[:3, 3]) @ pose[:3, :3]
    fx, fy, cx, cy = camera.lens
    return np.stack([fx * seen[:, 0] / seen[:, 2] + cx, fy * seen[:, 1] / seen[:, 2] + cy, np.ones(len(points))], 1)


def test_a_clip_gives_back_the_cameras_it_was_made_with(make):
    views = cvd_cameras(cameras="orbit", num_views=2)
    for path, cameras in zip(make(views), views, strict=True):
        assert clip_cameras(path) == cameras


def test_a_clip_without_cameras_says_none(make):
    (path,) = make([()])
    assert "cameras" not in read_settings(path)
    assert clip_cameras(path) == ()


@pytest.mark.parametrize("wide", [256, 512])
@pytest.mark.parametrize("cameras", ["circle", "interpolate", "orbit left; dolly in; still"])
def test_points_of_the_world_lie_on_the_lines_that_the_player_draws(make, cameras, wide):
    views = cvd_cameras(cameras=cameras, num_views=3, width=wide)
    related = links(make(views))
    points = np.random.default_rng(0).uniform([-0.4, -0.4, 0.8], [0.4, 0.4, 1.6], (20, 3))
    for view, other, frame in product(range(3), range(3), range(FRAMES)):
        if view == other:
            assert related[view][other] is None
            continue
        link = related[view][other][frame]
        here, there = (project(views[index][frame], points) for index in (view, other))
        matrix = np.array(link.get("line") or link["point"]).reshape(3, 3)
        if "line" in link:
            lines = here @ matrix.T
            distance = (lines * there).sum(1) / np.linalg.norm(lines[:, :2], axis=1)
            assert np.abs(distance).max() < 1e-3
        else:
            moved = here @ matrix.T
            assert np.allclose(moved / moved[:, 2:], there, atol=1e-4)


def test_cameras_in_one_place_are_linked_by_points(make):
    related = links(make(cvd_cameras(cameras="pan", num_views=2)))
    assert all(link.keys() == {"point"} for link in related[0][1])
    related = links(make(cvd_cameras(cameras="orbit", num_views=2)))
    assert [next(iter(link)) for link in related[0][1]] == ["point"] + ["line"] * (FRAMES - 1)


def test_clips_of_other_jobs_are_not_linked(make):
    views = cvd_cameras(num_views=2)
    first, second = make(views, seed=1), make(views, seed=2)
    assert same_job(*first)
    assert not same_job(first[0], second[0])
    related = links([*first, *second])
    assert related[0][1] and related[2][3]
    assert all(related[view][other] is None for view, other in product((0, 1), (2, 3)))
    assert epipolar_links([first[0], second[1]]) is None


NONSENSE = {
    "flat": [0.0] * 16,
    "nan": [float("nan")] * 16,
    "few": [1.0] * 3,
    "words": ["a"] * 16,
    "huge": [1e300] * 16,
}


@pytest.mark.parametrize("pose", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_from_a_foreign_file_links_nothing(make, pose, monkeypatch):
    first, second = make(cvd_cameras(num_views=2))
    settings = {path: read_settings(path) for path in (first, second)}
    settings[second]["cameras"] = [{"pose": pose, "lens": [1.0, 1.0, 0.5, 0.5]}] * FRAMES
    monkeypatch.setattr("studio.cameras.read_settings", settings.__getitem__)
    for path in (first, second):  # read anew
        shutil.copystat(__file__, path)
    assert epipolar_links([first, second]) is None


def test_the_player_carries_the_links_only_where_there_are_any(make):
    assert "epipolar" in player.draw(make(cvd_cameras(num_views=2)), ["A", "B"])
    drawn = player.draw(make([(), ()]), ["A", "B"])
    assert "epipolar" not in drawn and json.dumps("A")[1:-1] in drawn
