"""The world keeps its word: seeds, splits, captions, and ground truth that agrees with the pixels."""

from __future__ import annotations

import colorsys
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.pocket.world import Scene, Solid, cameras, caption, render_clip, sample_scene, tinted_scene
from models.pocket.world.captions import vocabulary
from models.pocket.world.sampling import is_held_out
from models.pocket.world.scene import ACTIONS, CAMERAS, COLOURS, MOTIONS, SHAPES

seeds = st.integers(0, 2**31)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_a_seed_always_gives_the_same_clip(seed: int) -> None:
    first, again = (render_clip(sample_scene(seed), num_frames=3, supersample=1) for _ in range(2))
    assert np.array_equal(first.frames, again.frames)
    assert np.array_equal(first.depth, again.depth)


@settings(max_examples=200, deadline=None)
@given(seeds)
def test_splits_share_no_held_out_combination(seed: int) -> None:
    assert not is_held_out(sample_scene(seed, "train"))
    assert not is_held_out(sample_scene(seed, "test"))
    assert is_held_out(sample_scene(seed, "held_out"))
    assert sample_scene(seed, "train") != sample_scene(seed, "test")


def test_some_of_everything_is_held_out_and_most_is_not() -> None:
    drawn = [sample_scene(i, "held_out", people=0.0).solids[0] for i in range(400)]
    assert {s.shape for s in drawn} == set(SHAPES)
    share = np.mean([is_held_out(Scene(solids=(Solid(s.shape, s.colour, motion=s.motion),))) for s in drawn])
    assert share > 0.5
    kept = {(s.colour, s.shape, s.motion) for i in range(4000) for s in sample_scene(i, people=0.0).solids}
    assert len(kept) > 150


def test_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="split must be one of train, test, held_out, got 'dev'"):
        sample_scene(0, "dev")


@settings(max_examples=200, deadline=None)
@given(seeds)
def test_a_tint_is_near_no_named_colour_and_shows_no_held_out_combination(seed: int) -> None:
    scene = tinted_scene(seed)
    first, *others = scene.solids
    assert first.tint is not None
    hue, saturation, _ = colorsys.rgb_to_hsv(*first.tint)
    named = [colorsys.rgb_to_hsv(*rgb)[0] for rgb in COLOURS.values()]
    apart = min(min(abs(hue - other), 1 - abs(hue - other)) for other in named)
    assert saturation < 0.16 or apart > 0.069, "25 of 360 degrees"
    assert not any(is_held_out(Scene(solids=(other,))) for other in others)
    said = caption(scene, np.random.default_rng(seed), omitted=1.0).split(" next to ")[0].split(" beside ")[0]
    assert not set(said.split()) & {*COLOURS, "violet"}, "its colour has no name"
    assert f" {first.shape} " in caption(scene) and "  " not in said


def test_tinted_solids_move_in_every_way_in_every_shape() -> None:
    drawn = [tinted_scene(i).solids[0] for i in range(1500)]
    assert len({(s.shape, s.motion) for s in drawn}) == len(SHAPES) * len(MOTIONS)


@pytest.mark.parametrize("tint", [(0.1, 0.9, 0.9), (0.9, 0.1, 0.6)])
def test_a_tint_is_the_colour_that_is_drawn(tint: tuple[float, float, float]) -> None:
    clip = render_clip(Scene(solids=(Solid("cube", "", tint=tint),)), num_frames=1)
    drawn = clip.frames[0][clip.mask[0] == 1].mean(0)
    assert np.corrcoef(drawn, tint)[0, 1] > 0.98


@settings(max_examples=300, deadline=None)
@given(seeds, seeds)
def test_captions_use_known_words_and_stay_short(seed: int, wording: int) -> None:
    words = caption(sample_scene(seed), np.random.default_rng(wording)).replace(",", " ").split()
    assert len(words) <= 34
    assert set(words) <= set(vocabulary())


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_the_plain_caption_names_every_attribute(seed: int) -> None:
    scene = sample_scene(seed)
    words = caption(scene)
    if scene.person is not None:
        said = [scene.person.skin, scene.person.eyes, scene.person.shirt, scene.person.action.split()[0], scene.wall]
    else:
        said = [solid.colour for solid in scene.solids] + [solid.shape for solid in scene.solids]
    assert all(word in words for word in said)


def test_a_scene_has_several_wordings() -> None:
    scene = sample_scene(1)
    assert len({caption(scene, np.random.default_rng(i)) for i in range(20)}) >= 4


@pytest.mark.parametrize("shape", SHAPES)
def test_mask_and_depth_agree_with_the_geometry(shape: str) -> None:
    scene = Scene(solids=(Solid(shape, "red", size=0.9, turn=0.3),))
    clip = render_clip(scene, num_frames=1, supersample=1)
    middle = np.array([0.0, 0.9, 0.0, 1.0])
    local = np.linalg.inv(clip.poses[0]) @ middle
    u, v, w = clip.intrinsics @ local[:3]
    column, row = int(u / w), int(v / w)
    if shape != "torus":  # its middle is a hole
        assert clip.mask[0, row, column] == 1
        assert local[2] - 1.6 < clip.depth[0, row, column] < local[2]
    rows, columns = np.nonzero(clip.mask[0])
    assert abs(rows.mean() - row) < 8 and abs(columns.mean() - column) < 4
    reds = clip.frames[0][clip.mask[0] == 1].astype(float)
    assert (reds[:, 0] > reds[:, 1] + 30).mean() > 0.85


@pytest.mark.parametrize("seed", [3, 8, 21])
def test_two_cameras_see_the_same_moment(seed: int) -> None:
    """Ground points found by depth in one view have the same colour where they land in the other view."""
    scene = replace(sample_scene(seed, people=0.0), ground="checkered", sky="day")
    poses = cameras.path("orbits left", 2, 0.35)
    views = [render_clip(scene, 1, 128, 128, poses=poses[i : i + 1], supersample=1) for i in range(2)]
    rows, columns = np.mgrid[40:128:4, 0:128:4].reshape(2, -1)
    depth = views[0].depth[0, rows, columns]
    rays = np.stack([columns + 0.5, rows + 0.5, np.ones_like(rows)]) * depth
    points = np.linalg.inv(views[0].intrinsics) @ rays
    world = poses[0][:3, :3] @ points + poses[0][:3, 3:]
    local = poses[1][:3, :3].T @ (world - poses[1][:3, 3:])
    u, v, w = views[1].intrinsics @ local
    x, y = (u / w).astype(int), (v / w).astype(int)
    ground = (views[0].mask[0, rows, columns] == 0) & (depth > 0) & (depth < 9)
    inside = ground & (x >= 0) & (x < 128) & (y >= 0) & (y < 128)
    x, y, w = x[inside], y[inside], w[inside]
    seen = np.abs(views[1].depth[0, y, x] - w) < 0.05 * w  # not hidden behind a solid in the other view
    assert seen.sum() > 100
    first = views[0].frames[0, rows[inside], columns[inside]][seen].astype(float)
    second = views[1].frames[0, y, x][seen].astype(float)
    assert np.median(np.abs(first - second).mean(1)) < 6


@pytest.mark.parametrize("motion", [m for m in MOTIONS if m != "still"])
def test_every_motion_moves(motion: str) -> None:
    scene = Scene(solids=(Solid("cube", "blue", "striped", motion),))
    frames = render_clip(scene, supersample=1).frames.astype(float)
    assert np.abs(np.diff(frames, axis=0)).mean() > 0.6


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_moves_the_face(action: str) -> None:
    scene = sample_scene(4, people=1.0)
    assert scene.person is not None
    clip = render_clip(replace(scene, person=replace(scene.person, action=action)), supersample=1)
    change = np.abs(np.diff(clip.frames.astype(float), axis=0)).mean((1, 2, 3))
    assert change.max() > 0.25


@pytest.mark.parametrize("name", [*CAMERAS, "circles"])
def test_camera_paths_are_rigid_and_start_near_each_other(name: str) -> None:
    poses = cameras.path(name, 20)
    turns = poses[:, :3, :3]
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-9)
    assert np.allclose(np.linalg.det(turns), 1)
    moved = np.abs(poses[-1] - poses[0]).max()
    assert moved < 1e-6 if name in ("still", "circles") else moved > 0.2


def test_an_unknown_camera_is_refused() -> None:
    with pytest.raises(ValueError, match="'flies' is not a camera path"):
        cameras.path("flies", 4)


def test_poses_must_match_the_frames() -> None:
    with pytest.raises(ValueError, match="poses has 3 matrices for 5 frames"):
        render_clip(sample_scene(0), num_frames=5, poses=cameras.path("still", 3))


def test_contact_sheet_command_draws_a_picture(tmp_path) -> None:
    out = tmp_path / "sheet.png"
    command = [sys.executable, "-m", "models.pocket.world", "--contact-sheet", str(out), "--count", "2"]
    subprocess.run(command, check=True, capture_output=True)
    assert out.stat().st_size > 10_000


def test_naming_and_judging_scenes_needs_no_renderer() -> None:
    """numba draws the world and is not installed for people who only run the studio."""
    code = "import sys; sys.modules['numba'] = None; import models.pocket.judge, models.pocket.faces"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
