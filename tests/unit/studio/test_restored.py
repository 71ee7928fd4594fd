"""Settings of a video back into a form: all of them, for every preset; a sentence for what cannot come back."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as given_settings
from hypothesis import strategies as st

from models.method import Clip, FieldInfo, request_fields
from studio.events import JobSpec, request_values
from studio.outputs import read_settings, save
from studio.presets import Preset, load_presets, request_with, shipped_pictures
from studio.restored import restored

PRESETS = load_presets()
CLIP = Clip(np.zeros((1, 16, 16, 3), np.uint8), 8)
numbers = itertools.count()


def field(preset: Preset, name: str, info: FieldInfo) -> st.SearchStrategy[Any]:
    """Values that the field may have, pictures and camera paths of the studio's own."""
    value = getattr(preset.request, name)
    if info.kind == "text":
        return st.text(st.characters(codec="utf-8"), max_size=40)
    if info.kind == "switch":
        return st.booleans()
    if info.kind == "choice":
        return st.sampled_from(info.choices)
    if info.kind == "image":
        return st.sampled_from([*shipped_pictures(preset, name), *(() if info.required else (None,))])
    if info.kind == "camera_path":
        views = getattr(preset.request, info.views)
        each = st.lists(st.sampled_from(info.each), min_size=views, max_size=views)
        return st.sampled_from(info.choices) | each.map("; ".join)
    if isinstance(value, int):
        return st.integers(int(info.minimum or 0), int(info.maximum or 2**53))
    return st.floats(float(info.minimum or 0), float(info.maximum or 1e6))


def requests(preset: Preset) -> st.SearchStrategy[Any]:
    """The preset's request with any of its fields changed."""
    fields = request_fields(preset.method.request)
    options = {name: field(preset, name, info) for name, info in fields.items()}
    return st.fixed_dictionaries({}, optional=options).map(lambda values: with_values(preset, values))


def with_values(preset: Preset, values: dict[str, Any]) -> Any:
    """None where the values do not go together."""
    try:
        return request_with(preset.request, values)
    except ValueError:
        return None


def recorded(preset: Preset, request: Any, folder: Any) -> dict[str, Any]:
    """The settings in a video that this request made."""
    spec = JobSpec(f"job{next(numbers)}", preset.key, preset.method.name, request, preset.recipe)
    return read_settings(save([CLIP], spec, folder).paths[0])


@pytest.mark.parametrize("key", PRESETS)
@given(data=st.data())
@given_settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_request_comes_back_from_its_video_as_it_was(key, tmp_path, data):
    preset = PRESETS[key]
    request = data.draw(requests(preset))
    assume(request is not None)
    found = restored(recorded(preset, request, tmp_path), PRESETS)
    assert found.preset is preset
    assert request_with(preset.request, found.values) == request
    assert all("they make" in remark or "these weights" in remark for remark in found.remarks)
    assert found.values.keys() == request_values(request).keys()


@pytest.fixture
def known(preset) -> dict[str, Preset]:
    return {preset.key: preset}


@pytest.fixture
def said(preset, ask, tmp_path) -> dict[str, Any]:
    return recorded(preset, ask(prompt="a heron", seed=9), tmp_path)


def test_a_method_that_is_not_here_is_named(said, known):
    with pytest.raises(ValueError, match=r"made with 'weaver', which is not part of this studio. It has: Sketch"):
        restored(said | {"method": "weaver", "preset": "weaver/full"}, known)


def test_another_preset_of_the_method_takes_the_place_of_one_that_is_not_here(said, known, preset):
    found = restored(said | {"preset": "sketch/full"}, known)
    assert found.preset is preset
    assert found.values["prompt"] == "a heron"
    assert found.remarks == ("It was made with sketch/full, which is not offered here.",)


def test_a_number_out_of_range_is_said_and_the_others_come_back(said, known):
    said["request"] |= {"num_inference_steps": 5000}
    found = restored(said, known)
    assert (found.values["seed"], found.values["num_inference_steps"]) == (9, 5)
    assert found.remarks == ("Num inference steps must be between 1 and 1000, got 5000. It stays at 5.",)


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        ({"colour": "red"}, "Sketch has no setting 'colour'."),
        ({"seed": [1]}, "Seed is list, which no field holds. It stays at 42."),
        ({"num_frames": 7}, "num_frames must be a multiple of 4, got 7. Try 8. It stays at 8."),
        ({"num_frames": "many"}, "It stays at 8."),
    ],
)
def test_what_does_not_fit_is_said(said, known, change, remark):
    said["request"] |= change
    (told,) = restored(said, known).remarks
    assert remark in told


def test_a_field_that_the_file_does_not_know_is_said(said, known):
    del said["request"]["trail"]
    assert restored(said, known).remarks == ("The file says nothing of Trail.",)


@pytest.mark.parametrize("request_", [None, [], "words"])
def test_settings_without_a_request_are_damaged(said, known, request_):
    with pytest.raises(ValueError, match="damaged"):
        restored(said | {"request": request_}, known)


def test_a_picture_that_is_not_in_the_file_is_neither_kept_nor_replaced(tmp_path):
    preset = PRESETS["echovideo/pocket"]
    own = tmp_path / "me.png"
    own.write_bytes(shipped_pictures(preset, "face")[0].read_bytes())
    said = recorded(preset, request_with(preset.request, {"face": own}), tmp_path)
    assert said["left_out"] == ["face"]
    assert "me.png" not in str(said)
    found = restored(said, PRESETS)
    assert found.values["face"] is None
    assert found.remarks == ("Face: the picture is not in the file. Add it again.",)


def test_no_path_of_this_machine_comes_back(tmp_path):
    preset = PRESETS["echovideo/pocket"]
    said = recorded(preset, preset.request, tmp_path)
    (tmp_path / "secret.png").write_bytes(shipped_pictures(preset, "face")[0].read_bytes())
    for path in (str(tmp_path / "secret.png"), "presets/echovideo/examples/../pocket.yaml", "/etc/passwd"):
        said["request"]["face"] = path
        assert restored(said, PRESETS).values["face"] is None
