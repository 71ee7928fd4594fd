from __future__ import annotations

import math
from xml.etree import ElementTree

from studio.metrics import METRICS
from studio.metrics.intervals import Interval
from studio.metrics.plots import HEIGHT, TOP, bars, curves

SVG = "{http://www.w3.org/2000/svg}"


def test_curves_have_a_line_per_clip_and_a_gap_where_there_is_no_number():
    drawn = ElementTree.fromstring(curves(METRICS["flicker"], {"a": [None, 1.0, 2.0, None, 3.0], "<b>": [2.0] * 5}))
    lines = [path for path in drawn.iter(f"{SVG}path") if path.find(f"{SVG}title") is not None]
    assert [line.find(f"{SVG}title").text for line in lines] == ["a", "<b>"]  # pyright: ignore
    assert [line.get("d", "").count("M") for line in lines] == [2, 1]
    assert [line.get("d", "").count("L") for line in lines] == [1, 4]


def test_bars_rise_with_their_values_and_show_their_intervals():
    values = {
        "one": Interval(1.0, 0.5, 1.5, 5),
        "two": Interval(2.0, 1.8, 2.2, 5),
        "alone": Interval(2.0, -math.inf, math.inf, 1),
    }
    drawn = ElementTree.fromstring(bars(METRICS["sharpness"], values))
    heights = [float(bar.get("height", 0)) for bar in drawn.iter(f"{SVG}rect")]
    assert heights[0] * 1.9 < heights[1] * 1.05 and heights[1] == heights[2]
    assert len([path for path in drawn.iter(f"{SVG}path") if path.get("stroke-width") == "1.5"]) == 2
    assert all(TOP <= float(bar.get("y", 0)) <= HEIGHT for bar in drawn.iter(f"{SVG}rect"))


def test_nothing_measured_is_still_a_picture():
    for metric in METRICS.values():
        ElementTree.fromstring(curves(metric, {"a": [None, None]}))
        ElementTree.fromstring(bars(metric, {}))
        ElementTree.fromstring(curves(metric, {"a": [1.0, 1.0]}))
