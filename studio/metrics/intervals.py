"""How sure a number is: 95% intervals of shares, means and paired differences, and rank correlation. One copy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Z = 1.96
DRAWS = 2000
Numbers = Sequence[float | int] | np.ndarray


@dataclass(frozen=True)
class Interval:
    """A number with the bounds of its 95% interval; `count` is how many cases it rests on."""

    value: float
    low: float
    high: float
    count: int

    def excludes(self, value: float | int) -> bool:
        return not self.low <= value <= self.high


def share(right: int, asked: int) -> Interval:
    """Wilson's interval of a share (Wilson 1927); (0, 1) when nothing was asked."""
    if asked == 0:
        return Interval(0.0, 0.0, 1.0, 0)
    p = right / asked
    centre, spread = p + Z * Z / (2 * asked), Z * math.sqrt(p * (1 - p) / asked + Z * Z / (4 * asked * asked))
    scale = 1 + Z * Z / asked
    return Interval(p, (centre - spread) / scale, (centre + spread) / scale, asked)


def mean(values: Numbers) -> Interval:
    """Percentile bootstrap of the mean. With fewer than two values the interval has no bounds."""
    return _bootstrap(np.asarray(values, np.float64)[:, None], lambda drawn: drawn[..., 0].mean(-1))


def difference(values: Numbers, others: Numbers) -> Interval:
    """Mean of `values` less `others`, case by case: the same prompts and seeds in both, in the same order."""
    if len(values) != len(others):
        raise ValueError(f"A paired difference needs as many of both, got {len(values)} and {len(others)}.")
    return mean(np.asarray(values, np.float64) - np.asarray(others, np.float64))


def rank_correlation(values: Numbers, others: Numbers) -> Interval:
    """Spearman's, equal values sharing their mean rank, with a bootstrap over the cases."""
    pairs = np.stack([np.asarray(values, np.float64), np.asarray(others, np.float64)], 1)
    return _bootstrap(pairs, lambda drawn: np.array([_spearman(*draw.T) for draw in drawn]))


def _bootstrap(cases: Float[np.ndarray, "cases columns"], statistic: Callable[[np.ndarray], np.ndarray]) -> Interval:
    """`statistic` takes many draws at once, [draws, cases, columns], and gives [draws]."""
    count = len(cases)
    if count == 0:
        raise ValueError("There is nothing to take a mean of.")
    value = float(statistic(cases[None])[0])
    if count == 1:
        return Interval(value, -math.inf, math.inf, 1)
    drawn = statistic(cases[np.random.default_rng(0).integers(count, size=(DRAWS, count))])
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Interval(value, float(low), float(high), count)


def _spearman(first: np.ndarray, second: np.ndarray) -> float:
    a, b = _ranks(first), _ranks(second)
    a, b = a - a.mean(), b - b.mean()
    spread = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / spread if spread else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[where]
