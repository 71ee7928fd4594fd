"""Numbers of finished cells: computed beside the page, told with their reasons, drawn as tables and curves."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from studio.cameras import clip_cameras
from studio.compare import Numbers
from studio.compare.numbers import Asked, measure_files
from studio.metrics import METRICS, Score
from studio.ui import compare_numbers
from tests.unit.studio.test_compare_record import ME, Desk

PATIENCE_SECONDS = 120
ROOT = Path(__file__).parents[3]


@pytest.fixture
def desk(settings, preset):
    made = Desk(settings, preset)
    yield made
    made.close()


@pytest.fixture
def numbers():
    made = Numbers()
    yield made
    made.close()


def waited(numbers, state, presets):
    pause = threading.Event()
    for _ in range(PATIENCE_SECONDS * 10):
        found = numbers.of(state, presets)
        if found is not None:
            return found
        pause.wait(0.1)
    raise AssertionError("no numbers came")


def test_a_finished_cell_gets_every_metric_with_a_number_or_a_reason(desk, numbers):
    comparison = desk.made.start(desk.plan("1, 2", "views"), ME)
    one, two = desk.wait(comparison)
    presets = {desk.preset.key: desk.preset}
    assert numbers.of(one, presets) is None  # at once, without waiting
    (clip,) = waited(numbers, one, presets)
    assert set(clip) == set(METRICS)
    assert all((score.value is None) == bool(score.reason) for score in clip.values())
    assert len(clip["motion"].curve) == 8
    assert clip["seconds"].value == pytest.approx(one.seconds)
    assert clip["memory"].value
    assert len(waited(numbers, two, presets)) == 2


def test_what_is_not_there_has_no_numbers(desk, numbers):
    comparison = desk.made.start(desk.plan("none, error", "fault"), ME)
    good, failed = desk.wait(comparison)
    assert numbers.of(failed, {}) == []
    good.paths[0].unlink()
    assert numbers.of(good, {}) == []


def test_the_page_does_not_import_what_measures():
    code = "import sys, studio.ui.compare_tab; print(sorted({'cv2', 'torch', 'av'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert said.stdout.strip() == "[]"


def clip(**values: float | None) -> dict[str, Score]:
    return {
        name: Score(
            name, "clip", value, (None, value) if value is not None else (), reason="" if value else "It is a test."
        )
        for name, value in values.items()
    }


def test_the_table_says_range_direction_and_why_a_number_is_missing():
    drawn = compare_numbers.table(["One", "Two"], [clip(flicker=1.0, text=None), clip(flicker=None, text=None)])
    assert "lower is better" in drawn
    assert "<td" in drawn.split("Flicker")[1]
    assert drawn.count("It is a test.") == 2  # in the cell that has no number, and for the metric that has none at all
    assert "1 not comparable here" in drawn


def test_camera_and_cross_view_errors_stand_side_by_side_or_say_why_not():
    views = {name: Score(name, "view", value) for name, value in (("cross_view", 2.5), ("camera", 12.0))}
    alone = {name: Score(name, "one", None, reason="There is only one view.") for name in views}
    drawn = compare_numbers.table(["CVD", "MCM"], [views, alone])
    rows = drawn.split("<tr>")[2:]
    assert ["Cross-view error" in rows[0], "Camera error" in rows[1]] == [True, True]
    assert all("There is only one view." in row for row in rows)
    drawn = compare_numbers.table(["MCM"], [alone])
    assert "2 not comparable here" in drawn


def test_clips_of_cvd_have_both_against_the_cameras_that_their_files_carry():
    paths = tuple(sorted((ROOT / "presets/cvd/examples").glob("ball-view *.mp4")))
    clips = [clip_cameras(path) for path in paths]
    assert [len(cameras) for cameras in clips] == [16, 16]
    scores = measure_files(Asked(paths, ()), ("cross_view", "camera"))
    assert all(score.value is not None for clip in scores for score in clip.values())


def test_consistency_is_never_shown_without_motion():
    scores = [clip(consistency=99.0, motion=3.0), clip(consistency=98.0, motion=2.0)]
    assert [curve.title for curve in compare_numbers.curves(scores, ["consistency"])] == ["Consistency", "Motion"]


def test_a_curve_spans_its_values_and_keeps_the_clip_without_one():
    (curve,) = compare_numbers.curves([clip(sharpness=2.0), clip(sharpness=None)], ["sharpness"])
    assert curve.values == ((None, 2.0), None)
    assert curve.low < 2.0 < curve.high


def test_means_over_seeds_have_intervals_and_one_seed_has_none():
    seeds = [clip(sharpness=value) for value in (1.0, 2.0, 3.0, 9.0)]
    drawn = compare_numbers.by_seed(["A", "B"], [0, 0, 0, 1], seeds)
    first, second = drawn.split("<tbody>")[1].split("</tr>")[:2]
    assert "2.00" in first
    assert " to " in first
    assert "9.00" in second
    assert " to " not in second
    assert compare_numbers.by_seed(["A", "B"], [0, 1], seeds[:2]) == ""
