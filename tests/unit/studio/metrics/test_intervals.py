from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.metrics.intervals import difference, mean, rank_correlation, share


def test_a_share_has_wilsons_interval():
    found = share(8, 10)  # textbook example: 0.490 to 0.943
    assert (round(found.low, 3), round(found.high, 3)) == (0.490, 0.943)
    assert share(0, 0) == share(0, 0) and (share(0, 0).low, share(0, 0).high) == (0.0, 1.0)


@given(st.integers(0, 400), st.integers(1, 400))
def test_a_share_lies_within_its_interval(right, asked):
    right = min(right, asked)
    found = share(right, asked)
    assert -1e-12 <= found.low <= found.value + 1e-12 and found.value - 1e-12 <= found.high <= 1 + 1e-12


def test_intervals_of_means_hold_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(0)
    held = sum(not mean(rng.normal(3.0, 2.0, 60).tolist()).excludes(3.0) for _ in range(200))
    assert 180 <= held <= 199


def test_pairing_finds_a_difference_that_hides_in_the_spread_of_the_cases():
    rng = np.random.default_rng(0)
    base = rng.normal(0, 10, 100)
    better = base + 0.5 + rng.normal(0, 0.2, 100)
    assert difference(better.tolist(), base.tolist()).excludes(0)
    assert abs(mean(better.tolist()).value - mean(base.tolist()).value - 0.5) < 0.1
    with pytest.raises(ValueError, match="as many of both"):
        difference([1.0], [1.0, 2.0])


def test_rank_correlation_sees_order_only():
    values = [1.0, 2.0, 3.0, 4.0, 9.0]
    assert rank_correlation(values, [math.exp(v) for v in values]).value == pytest.approx(1)
    assert rank_correlation(values, [-v for v in values]).value == pytest.approx(-1)
    # ties share their mean rank: ranks 1.5, 1.5, 3 against 1, 2, 3
    assert rank_correlation([0, 0, 1], [1, 2, 3]).value == pytest.approx(math.sqrt(3) / 2)
    assert rank_correlation([1, 1, 1], [1, 2, 3]).value == 0


def test_one_case_says_nothing_about_its_spread():
    assert mean([2.0]).low == -math.inf
    with pytest.raises(ValueError, match="nothing"):
        mean([])
