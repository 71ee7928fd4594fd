"""What a metric is and what it says of a clip. Light: the page describes metrics without computing any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from studio.metrics.take import Take


class NotComparable(Exception):
    """This metric says nothing about this clip; the message is the reason, a sentence."""


@dataclass(frozen=True)
class Reading:
    """`curve` has a number per frame, None where a frame has none (the first of a difference); `note` adds a fact."""

    value: float
    curve: tuple[float | None, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Metric:
    """One way of measuring a clip.

    `lowest` and `highest` bound its values, None for no bound. `better` is "neither" where a number only belongs
    beside others. `anchors` are values to be called poor, fair and good; None where they depend on the content.
    """

    name: str
    title: str
    unit: str
    lowest: float | None
    highest: float | None
    better: Literal["higher", "lower", "neither"]
    anchors: tuple[float, float, float] | None
    help: str
    needs: str
    not_comparable: str
    read: Callable[[Take], Reading]
    beside: str = ""  # the metric that must always be shown next to this one

    def word(self, value: float) -> str:
        """poor, fair or good; "" without anchors. The border lies halfway between two anchors."""
        if self.anchors is None or self.better == "neither":
            return ""
        sign = 1 if self.better == "higher" else -1
        poor, fair, good = (sign * anchor for anchor in self.anchors)
        value *= sign
        return "good" if value >= (fair + good) / 2 else "fair" if value >= (poor + fair) / 2 else "poor"


@dataclass(frozen=True)
class Score:
    """One metric of one clip. Without a `value`, `reason` says why it is not comparable. `word`: poor, fair, good."""

    metric: str
    clip: str
    value: float | None
    curve: tuple[float | None, ...] = ()
    word: str = ""
    note: str = ""
    reason: str = ""
