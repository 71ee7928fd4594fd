"""How good is a clip? `measure` gives every metric's number and curve; docs/metrics.md says what they are worth.

Importing this is light, so that the page can describe the metrics; measuring imports OpenCV and perhaps torch and
belongs in the worker (`MeasureRequest` in studio/metrics/job.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from models.method import Clip
from studio.metrics import (
    camera,
    consistency,
    cost,
    cross_view,
    flicker,
    identity,
    motion,
    sharpness,
    subject,
    text,
)
from studio.metrics.score import Metric, NotComparable, Reading, Score
from studio.metrics.take import Facts, Take, takes

__all__ = ["METRICS", "Facts", "Metric", "NotComparable", "Reading", "Score", "Take", "measure"]

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        text.METRIC, identity.METRIC, subject.METRIC, cross_view.METRIC, camera.METRIC, consistency.METRIC,
        flicker.METRIC, motion.METRIC, sharpness.METRIC, cost.SECONDS, cost.MEMORY,
    )
}  # fmt: skip
logger = logging.getLogger(__name__)


def measure(clips: Sequence[Clip], facts: Facts | None = None, metrics: Sequence[str] = ()) -> list[Score]:
    """Scores of the clips of one job, clip by clip in the order of METRICS, or of those named. A metric that cannot
    be taken gives a score with its reason; none is left out."""
    names = metrics or tuple(METRICS)
    if unknown := [name for name in names if name not in METRICS]:
        raise ValueError(f"{unknown[0]!r} is not a metric. There are: {', '.join(METRICS)}.")
    return [_score(METRICS[name], take) for take in takes(list(clips), facts or Facts()) for name in names]


def _score(metric: Metric, take: Take) -> Score:
    try:
        reading = metric.read(take)
    except NotComparable as error:
        return Score(metric.name, take.clip.name, None, reason=str(error))
    except Exception:  # one metric's fault must not cost the others
        logger.exception("metric %s", metric.name)
        return Score(metric.name, take.clip.name, None, reason="It failed on this clip; the log has the details.")
    return Score(metric.name, take.clip.name, reading.value, reading.curve, metric.word(reading.value), reading.note)
