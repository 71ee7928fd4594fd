"""The camera paths of a tab: from what a person chooses to the words of the request, and to the drawing."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio.utils import get_upload_folder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.cvd import METHOD
from models.cvd.config import CvdRequest, CvdWeights
from models.method import Request, path_entries
from studio.events import kept_values
from studio.presets import Preset
from studio.ui.camera_rig import EACH, CameraRig
from studio.ui.controls import Form, check_uploads


@pytest.fixture
def rig(monkeypatch, tmp_path) -> CameraRig:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    request = CvdRequest(prompt="a ball", num_frames=8)
    preset = Preset("pocket", "CVD", METHOD, CvdWeights(*"upvtks"), request, Path("nowhere.yaml"))
    with gr.Blocks():
        form = Form(METHOD, request)
        made = CameraRig("cameras", form, preset)
        form.draw(*form.main, *form.ideas, *form.advanced, "seed", form.prompt)
    return made


def shown(rig: CameraRig, **changes) -> list:
    """What the page would send for the settings that cameras depend on."""
    values = {name: getattr(rig.form.start, name) for name in rig._asked} | changes
    return [values[name] for name in rig._asked]


def drawn(rig: CameraRig, files=(), **changes) -> dict:
    return rig.on_change(list(files), *shown(rig, **changes))


def views(plot: str) -> list[dict]:
    found = re.search(r'data-views="([^"]*)"', plot)
    assert found
    return json.loads(unescape(found[1]))


def camera_file(name: str, frames: int = 6, broken: bool = False) -> str:
    """An upload: a camera that walks to the right."""
    folder = Path(get_upload_folder()) / name
    folder.mkdir(parents=True)
    lines = ["https://example.org/video"]
    for frame in range(frames):
        pose = np.eye(4)[:3]
        pose[0, 3] = -0.1 * frame
        rotation = 2 if broken and frame == 3 else 1
        pose[0, 0] *= rotation
        numbers = [frame, 0.9, 1.2, 0.5, 0.5, 0, 0, *pose.ravel()]
        lines.append(" ".join(map(str, numbers)))
    path = folder / f"{name}.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_the_tab_opens_with_the_preset_s_paths_drawn(rig):
    assert rig.pattern.value == "circle"
    assert [view["label"] for view in views(rig.plot.value)] == ["View 1", "View 2"]
    assert not rig.row.visible


@pytest.mark.parametrize("count", [1, 2, 6])
def test_every_view_is_drawn_with_every_frame(rig, count):
    made = views(drawn(rig, num_views=count)[rig.plot])
    assert len(made) == count
    assert all(len(view["frames"]) == 8 and len(frame) == 16 for view in made for frame in view["frames"])


def test_strength_lengthens_the_paths(rig):
    ends = [
        np.array(views(drawn(rig, strength=strength)[rig.plot])[0]["frames"][-1])[[3, 7, 11]] for strength in (0.5, 1)
    ]
    assert np.allclose(2 * ends[0], ends[1], atol=1e-3)


def test_choosing_a_path_for_each_gives_every_view_one_of_its_own(rig):
    words = rig.on_pattern(EACH, "circle", 3)
    assert words == "orbit left; orbit right; pan left"
    updates = drawn(rig, cameras=words, num_views=3)
    assert updates[rig.pattern] == EACH and updates[rig.row]["visible"]
    assert [updates[view]["value"] for view in rig.views] == [
        "orbit left",
        "orbit right",
        "pan left",
        None,
        None,
        None,
    ]
    assert [updates[view]["visible"] for view in rig.views] == [True] * 3 + [False] * 3
    assert [view["path"] for view in views(updates[rig.plot])] == ["Orbit left", "Orbit right", "Pan left"]


def test_another_number_of_views_keeps_the_paths_chosen(rig):
    assert rig.on_count("dolly in; still", 3) == "dolly in; still; orbit left"
    assert rig.on_count("dolly in; still; pan left", 2) == "dolly in; still"
    assert rig.on_count("circle", 5) == "circle"
    assert rig.on_views(2, "pan left", None, "still", None, None, None) == "pan left; orbit left"


@given(st.lists(st.sampled_from(METHOD.request.__dataclass_fields__["cameras"].metadata["info"].each), max_size=6),
       st.integers(1, 6))  # fmt: skip
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_there_are_always_as_many_known_paths_as_views_and_chosen_ones_stay(rig, paths, count):
    words = path_entries(rig.on_count("; ".join(paths), count) if paths != ["still"] else rig.on_views(count, "still"))
    assert len(words) == count and set(words) <= set(rig.info.each)
    assert words[: len(paths)] == paths[:count]


def test_files_go_to_the_views_in_order_and_make_room_for_themselves(rig):
    files = [camera_file(name) for name in ("one", "two", "three")]
    updates = rig.on_files(files, [], *shown(rig))
    assert updates[rig.words] == "; ".join(files)
    assert updates[rig.count] == 3 and updates[rig.files] == files
    after = drawn(rig, files, cameras=updates[rig.words], num_views=3)
    assert ("two", files[1]) in after[rig.views[0]]["choices"]
    assert [view["path"] for view in views(after[rig.plot])] == ["one", "two", "three"]
    (one,) = [camera_file("again")]
    kept = rig.on_files([one], files, *shown(rig, cameras="pan left; dolly in", num_views=2))
    assert kept[rig.words] == f"{one}; dolly in"


def test_a_bad_file_changes_nothing_and_says_the_line(rig):
    updates = rig.on_files([camera_file("bent", broken=True)], [], *shown(rig))
    assert updates.keys() == {rig.told}
    assert "bent.txt, line 5: the rotation is not orthonormal" in updates[rig.told]
    short = rig.on_files([camera_file("short", frames=3)], [], *shown(rig))
    assert "short.txt has 3 camera lines; a path needs at least 4" in short[rig.told]


def test_no_file_of_this_machine_is_opened_for_a_visitor(rig, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("word " * 19 + "\n", encoding="utf-8")
    words = f"{secret}; still"
    updates = drawn(rig, cameras=words)
    assert "There is no camera file at &#x27;secret.txt&#x27;" in updates[rig.told]
    assert updates[rig.plot] == ""
    with pytest.raises(ValueError, match=r"no camera file at 'secret\.txt'"):
        rig.form.request({"prompt": "a ball", "cameras": words})
    check_uploads("circle")


def test_what_is_kept_of_a_request_has_a_file_s_name_alone(rig):
    request: Request = CvdRequest(prompt="a ball", cameras=f"{camera_file('walk')}; still")
    assert kept_values(request)["cameras"] == "walk.txt; still"


def test_unusable_words_are_told_and_nothing_is_drawn(rig):
    updates = drawn(rig, cameras="spiral; still")
    assert "&#x27;spiral&#x27; is not a camera path" in updates[rig.told]
    assert updates[rig.plot] == ""
