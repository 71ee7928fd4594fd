from __future__ import annotations

import numpy as np
import pytest

from models.method import Clip
from studio.metrics import Facts, measure
from studio.metrics.asked_cameras import asked_cameras
from tests.unit.studio.metrics.scenes import texture


def clips(count: int, frames: int = 8) -> list[Clip]:
    still = texture(64, 64)
    return [Clip(np.stack([still] * frames), 8, f"view {index + 1}") for index in range(count)]


def test_cameras_of_a_request_make_its_clips_measurable():
    views = clips(3)
    cameras = asked_cameras("cvd", {"cameras": "circle", "strength": 1.5}, views)
    assert cameras["camera_to_world"].shape == (3, 8, 4, 4) and cameras["intrinsics"].shape == (3, 8, 4)
    scores = measure(views, Facts(**cameras), ["cross_view", "camera"])
    assert all(score.value is not None for score in scores)
    further = asked_cameras("cvd", {"cameras": "circle", "strength": 0.5}, views)["camera_to_world"]
    assert np.linalg.norm(further[0, -1, :3, 3]) < np.linalg.norm(cameras["camera_to_world"][0, -1, :3, 3])


@pytest.mark.parametrize("request_values", [{}, {"cameras": "gone.txt"}, {"cameras": 3}, {"cameras": "a; b; c; d"}])
def test_requests_without_usable_cameras_have_none(request_values):
    assert asked_cameras("cvd", request_values, clips(2)) == {}
    assert asked_cameras("repvideo", request_values | {"cameras": "circle"}, clips(2)) == {}
    assert asked_cameras("../cvd", {"cameras": "circle"}, clips(2)) == {}
