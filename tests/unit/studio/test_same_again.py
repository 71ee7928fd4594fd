"""A video's own settings make the same frames again: one method of each family of networks, as short as it gets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from studio.engine import Engine
from studio.events import Finished, JobSpec
from studio.outputs import read_settings
from studio.presets import load_presets, request_with
from studio.restored import restored
from studio.video_files import read_frames

PRESETS = load_presets()
SHORT: dict[str, dict[str, Any]] = {
    "echovideo/pocket": {"num_inference_steps": 1},  # CogVideoX, with a picture that came with the studio
    "mcm/pocket": {"num_inference_steps": 1, "num_frames": 4, "height": 32, "width": 32},  # AnimateDiff
}


@pytest.mark.parametrize("key", SHORT)
def test_the_settings_in_a_video_make_the_same_frames(key, settings):
    preset = PRESETS[key]
    engine = Engine(replace(settings, device="cpu"))

    def video(id: str, request: Any) -> Any:
        events: list[Any] = []
        spec = JobSpec(id, key, preset.method.name, request, preset.recipe)
        engine.generate(spec, events.append, lambda: False)
        assert isinstance(events[-1], Finished), events[-1]
        return events[-1].paths[0]

    first = video("first", request_with(preset.request, SHORT[key] | {"seed": 5}))
    back = restored(read_settings(first), PRESETS)
    again = video("again", request_with(preset.request, back.values))
    assert back.remarks == ()
    assert first != again
    assert np.array_equal(read_frames(first)[0], read_frames(again)[0])
