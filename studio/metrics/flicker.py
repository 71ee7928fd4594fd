"""Flicker: brightness that leaves and comes back from frame to frame."""

from __future__ import annotations

import numpy as np

from studio.metrics.score import Metric, NotComparable, Reading
from studio.metrics.take import Take, optical_flow, sample


def read(take: Take) -> Reading:
    """Half the mean distance of a pixel from the mean of itself one frame before and one after, followed along the
    flow, so that brightness alternating by +a and -a gives a, and steady movement or a slow fade gives nothing."""
    grey = take.grey
    if len(grey) < 3:
        raise NotComparable("Flicker needs three frames.")
    curve: list[float] = []
    for index in range(1, len(grey) - 1):
        before = sample(grey[index - 1].astype(np.float32), take.flow[index - 1])
        after = sample(grey[index + 1].astype(np.float32), optical_flow(grey[index], grey[index + 1]))
        curve.append(float(np.abs(grey[index] - (before + after) / 2).mean()) / 2)
    return Reading(float(np.mean(curve)), (None, *curve, None))


METRIC = Metric(
    name="flicker",
    title="Flicker",
    unit="levels of 255",
    lowest=0.0,
    highest=127.5,
    better="lower",
    anchors=(3.0, 1.5, 0.7),
    help="Brightness that jumps away and back within three frames, movement taken out. A still clip has 0.",
    needs="three frames",
    not_comparable="where the prompt asks for flashes, or between other frame rates",
    read=read,
    beside="motion",
)
