"""Clips made so that the right answer is known: still, shifted, flickering, blurred, noisy."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.method import Clip
from studio.metrics import METRICS, Facts, measure
from tests.unit.studio.metrics.scenes import blurred, edges, noisy, shifted, still, texture, value

BEST = {"consistency": 100.0, "flicker": 0.0, "motion": 0.0}


@pytest.mark.parametrize("name", BEST)
@pytest.mark.parametrize("size", [(64, 64), (48, 80), (300, 420)])
def test_a_still_clip_has_no_motion_and_the_best_consistency(name, size):
    assert value(name, still(height=size[0], width=size[1])) == BEST[name]


@settings(max_examples=12, deadline=None)
@given(st.floats(0.5, 5.0), st.integers(4, 30))
def test_a_shift_of_known_size_gives_that_motion(pixels, fps):
    clip = shifted(pixels)
    clip.fps = fps
    wanted = 100 * pixels * fps / 96
    assert value("motion", clip) == pytest.approx(wanted, rel=0.08)


@pytest.mark.parametrize("pixels", [0.5, 2.0, 4.0])
def test_steady_movement_is_neither_flicker_nor_inconsistency(pixels):
    clip = shifted(pixels)
    assert value("consistency", clip) > 98.5
    assert value("flicker", clip) < 1.2


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 25))
def test_brightness_that_alternates_by_a_level_is_flicker_of_that_level(level):
    base = texture(64, 64, softness=4.0) // 2 + 60
    signs = np.array([1, -1] * 4)[:, None, None, None]
    assert value("flicker", Clip((base + level * signs).astype(np.uint8), 8)) == pytest.approx(
        level, rel=0.15, abs=0.3
    )


def test_a_slow_fade_is_not_flicker():
    base = texture(64, 64) // 2 + 20
    fade = np.stack([base + 6 * t for t in range(8)]).astype(np.uint8)
    alternating = np.stack([base + 24 * (t % 2) for t in range(8)]).astype(np.uint8)
    assert value("flicker", Clip(fade, 8)) < 0.15 * value("flicker", Clip(alternating, 8))


@pytest.mark.parametrize("seed", range(4))
def test_more_noise_is_less_consistent_at_every_step(seed):
    clip = shifted(1.0) if seed == 0 else still(seed=seed)
    values = [value("consistency", noisy(clip, levels, seed)) for levels in (0, 6, 12, 25, 50)]
    assert all(less > more for less, more in itertools.pairwise(values)), values


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("worsen", "amounts"), [(noisy, (0, 3, 6, 12, 25)), (blurred, (0.3, 0.8, 1.6, 3.2, 6.0))])
def test_noise_and_blur_lower_the_sharpness_at_every_step(worsen, amounts, seed):
    values = [value("sharpness", worsen(edges(seed), amount)) for amount in amounts]
    assert all(less > more for less, more in itertools.pairwise(values)), values
    assert values[-1] < values[0] / 2


@pytest.mark.parametrize("seed", range(4))
def test_more_noise_is_more_flicker(seed):
    values = [value("flicker", noisy(still(seed=seed), levels, seed)) for levels in (0, 6, 12, 25)]
    assert values == sorted(values) and values[0] < values[1]


def test_a_cut_is_seen_in_the_frame_where_it_happens():
    frames = np.stack([texture(seed=0)] * 4 + [texture(seed=5)] * 4)
    curve = measure([Clip(frames, 8)], None, ["consistency"])[0].curve
    assert curve[0] is None and len(curve) == 8
    assert int(np.argmin(np.array(curve[1:], np.float64))) + 1 == 4


def test_every_metric_answers_every_clip_with_a_number_or_a_reason():
    for frames in (1, 2, 3, 20):
        scores = measure([still(frames, height=64, width=64)])
        assert [score.metric for score in scores] == list(METRICS)
        for score in scores:
            assert (score.value is None) == bool(score.reason)
            assert not score.curve or len(score.curve) == frames
            assert not score.reason or score.reason.endswith(".")
            assert "log" not in score.reason


def test_values_stay_within_the_range_that_is_told():
    for clip in (still(height=64, width=64), noisy(still(height=64, width=64), 120), shifted(4.0)):
        for score in measure([clip], Facts(seconds=1.0, peak_memory_mb=300)):
            metric = METRICS[score.metric]
            if score.value is not None:
                assert metric.lowest is None or score.value >= metric.lowest
                assert metric.highest is None or score.value <= metric.highest


def test_words_follow_the_anchors():
    metric = METRICS["flicker"]
    assert metric.anchors is not None
    assert [metric.word(anchor) for anchor in metric.anchors] == ["poor", "fair", "good"]
    metric = METRICS["consistency"]
    assert metric.anchors is not None
    assert [metric.word(anchor) for anchor in metric.anchors] == ["poor", "fair", "good"]
    assert METRICS["motion"].word(3.0) == ""


def test_what_a_still_clip_maximises_is_shown_beside_the_motion():
    for name in ("consistency", "flicker"):
        assert METRICS[name].beside == "motion"


def test_an_unknown_metric_is_named():
    with pytest.raises(ValueError, match="'beauty' is not a metric"):
        measure([still()], None, ["beauty"])


def test_the_same_clip_gives_the_same_numbers():
    clip = noisy(shifted(1.5), 4)
    assert measure([clip]) == measure([Clip(clip.frames.copy(), 8)])


def test_describing_the_metrics_imports_neither_opencv_nor_torch():
    code = "import sys, studio.metrics; print([m for m in ('cv2', 'torch', 'numba', 'gradio') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
