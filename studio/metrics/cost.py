"""What a clip cost: seconds and memory, as the worker counted them."""

from __future__ import annotations

from studio.metrics.score import Metric, NotComparable, Reading
from studio.metrics.take import Take


def read_seconds(take: Take) -> Reading:
    if take.facts.seconds is None:
        raise NotComparable("The seconds are not known: the file came from elsewhere.")
    return Reading(float(take.facts.seconds))


def read_memory(take: Take) -> Reading:
    if take.facts.peak_memory_mb is None:
        raise NotComparable("The memory is not known: the file came from elsewhere.")
    return Reading(float(take.facts.peak_memory_mb))


SECONDS = Metric(
    name="seconds",
    title="Seconds",
    unit="s",
    lowest=0.0,
    highest=None,
    better="lower",
    anchors=None,
    help="From the job's start in the worker to its frames, loading of weights included.",
    needs="a clip made by this studio",
    not_comparable="between machines, or with a first run that loaded weights",
    read=read_seconds,
)
MEMORY = Metric(
    name="memory",
    title="Peak memory",
    unit="MB",
    lowest=0.0,
    highest=None,
    better="lower",
    anchors=None,
    help="The most that was in use: on the GPU what torch held, on a CPU the whole worker.",
    needs="a clip made by this studio",
    not_comparable="between a GPU and a CPU, or on a CPU after other methods were loaded",
    read=read_memory,
)
