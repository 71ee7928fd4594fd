"""Motion amount: how fast the picture moves. Always shown beside consistency, which a still clip maximises."""

from __future__ import annotations

import numpy as np

from studio.metrics.score import Metric, Reading
from studio.metrics.take import Take

FASTEST = 95  # percentile of the pixels' speeds: a small subject that moves counts, a few wild pixels do not


def read(take: Take) -> Reading:
    """Speed that one pixel in twenty exceeds, per frame and on average (after VBench's dynamic degree)."""
    speeds = np.linalg.norm(take.flow, axis=-1).reshape(len(take.flow), -1)
    curve = np.percentile(speeds, FASTEST, axis=1) * take.percent_per_second
    return Reading(float(curve.mean()), (None, *curve.tolist()))


METRIC = Metric(
    name="motion",
    title="Motion",
    unit="% of the height per second",
    lowest=0.0,
    highest=None,
    better="neither",
    anchors=None,
    help="How fast the quickest twentieth of the picture moves, the camera's movement included.",
    needs="two frames",
    not_comparable="between prompts that ask for different movement",
    read=read,
)
