from __future__ import annotations

import dataclasses

import numpy as np

from models.cvd import METHOD
from models.cvd.cameras import view_cameras
from models.cvd.config import CvdRequest
from models.method import Clip
from studio.metrics import Facts, measure
from studio.metrics.asked_cameras import asked_cameras
from tests.unit.studio.metrics.scenes import texture

HEIGHT, WIDTH, FRAMES = 64, 96, 8


def clips(count: int) -> list[Clip]:
    request = CvdRequest(
        prompt="a ball", cameras="circle", num_views=count, num_frames=FRAMES, height=HEIGHT, width=WIDTH
    )
    assert METHOD.cameras is not None
    frames = np.stack([texture(HEIGHT, WIDTH)] * FRAMES)
    return [Clip(frames, 8, f"view {index}", cameras) for index, cameras in enumerate(METHOD.cameras(request), 1)]


def test_the_cameras_of_clips_are_those_of_the_request_in_pixels():
    cameras = asked_cameras(clips(3))
    asked = view_cameras("circle", 3, FRAMES, HEIGHT, WIDTH)
    assert np.allclose(cameras["camera_to_world"], asked.camera_to_world, atol=1e-7)
    assert np.allclose(cameras["intrinsics"], asked.intrinsics, atol=1e-5)


def test_they_make_the_clips_measurable():
    views = clips(3)
    scores = measure(views, Facts(**asked_cameras(views)), ["cross_view", "camera"])
    assert all(score.value is not None for score in scores)


def test_without_a_camera_for_every_clip_there_are_none():
    whole = clips(2)
    bare = dataclasses.replace(whole[1], cameras=())
    short = dataclasses.replace(whole[1], cameras=whole[1].cameras[:4])
    assert asked_cameras([]) == asked_cameras([whole[0], bare]) == asked_cameras([whole[0], short]) == {}
