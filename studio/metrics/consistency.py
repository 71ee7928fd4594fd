"""Temporal consistency: what optical flow cannot carry from one frame into the next."""

from __future__ import annotations

import numpy as np

from studio.metrics.score import Metric, Reading
from studio.metrics.take import Take, sample


def read(take: Take) -> Reading:
    """100 less the mean difference (in % of 255) between a frame and the one before it moved along the flow."""
    pairs = zip(take.grey[:-1], take.grey[1:], take.flow, strict=True)
    errors = [np.abs(sample(before, flow).astype(np.float32) - now).mean() for before, now, flow in pairs]
    curve = [100 - 100 * float(error) / 255 for error in errors]
    return Reading(float(np.mean(curve)), (None, *curve))


METRIC = Metric(
    name="consistency",
    title="Consistency",
    unit="points",
    lowest=0.0,
    highest=100.0,
    better="higher",
    anchors=(96.0, 98.0, 99.0),
    help="How much of each frame is the frame before it, moved. A still clip has 100: read it with the motion.",
    needs="two frames",
    not_comparable="between clips of very different motion, or of other frame rates",
    read=read,
    beside="motion",
)
