"""What a video will take in seconds and memory, learned from the videos this machine has made."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.history import Entry, History
from studio.outputs import read_settings

SAMPLES = 20
# Time grows about as these do: diffusers' names of what there can be more of.
AMOUNTS = ("num_inference_steps", "num_frames", "num_views", "height", "width")


@dataclass(frozen=True)
class Cost:
    """None is not known yet: nothing alike was made here."""

    seconds: float | None = None
    memory_mb: int | None = None


class Costs:
    """Estimates from the history."""

    def __init__(self, history: History) -> None:
        self._history = history

    def of(self, preset: str, request: Mapping[str, Any]) -> Cost:
        """The median of what was alike: the same switches and choices, scaled by steps, frames and size."""
        past = [entry for entry in self._history.finished(preset, SAMPLES) if _alike(entry.request, request)]
        if not past:
            return Cost()
        seconds = statistics.median(entry.seconds * _ratio(request, entry.request) for entry in past)
        return Cost(seconds, _memory(past))


def _alike(past: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Switches decide which networks run; `past` may come from a version with other fields."""
    return all(past.get(name, value) == value for name, value in asked.items() if isinstance(value, bool))


def _ratio(asked: Mapping[str, Any], past: Mapping[str, Any]) -> float:
    pairs = [(asked.get(name), past.get(name)) for name in AMOUNTS]
    return math.prod(new / old for new, old in pairs if isinstance(new, int | float) and old)


def _memory(past: list[Entry]) -> int | None:
    peaks = [_peak(str(entry.paths[0])) for entry in past[:3] if entry.paths]
    return max((peak for peak in peaks if peak is not None), default=None)


@functools.lru_cache(maxsize=4096)
def _peak(path: str) -> int | None:
    try:
        return read_settings(Path(path)).get("peak_memory_mb")
    except ValueError:  # moved, deleted, or stripped of its settings
        return None
