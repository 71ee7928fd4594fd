"""Turns between visitors, on random queues."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from studio.fair_order import FairOrder


@dataclass(frozen=True, eq=False)
class Item:
    owner: str
    number: int = 0


def queue_of(owners: str) -> FairOrder[Item]:
    order: FairOrder[Item] = FairOrder()
    for number, owner in enumerate(owners):
        order.add(Item(owner, number))
    return order


def taken(order: FairOrder[Item], count: int | None = None) -> str:
    return "".join(order.take().owner for _ in range(len(order) if count is None else count))


@pytest.mark.parametrize(
    ("submitted", "served"),
    [("aaab", "abaa"), ("aaabbb", "ababab"), ("abc", "abc"), ("aaaabbc", "abcabaa"), ("a", "a"), ("", "")],
)
def test_a_visitor_with_many_jobs_lets_the_others_between(submitted, served):
    assert taken(queue_of(submitted)) == served


def test_who_comes_later_waits_for_one_job_of_each_and_not_for_all():
    order = queue_of("aaaaabbbbb")
    assert taken(order, 2) == "ab"
    order.add(Item("c"))
    assert "c" in taken(order, 3)


def test_who_was_served_alone_for_long_lets_one_job_pass_and_no_more():
    order = queue_of("a" * 20)
    taken(order)
    order.add(Item("a"))
    for owner in "bbb":
        order.add(Item(owner))
    assert taken(order) == "babb"


@pytest.mark.parametrize("seed", range(20))
def test_in_any_round_the_counts_of_two_who_wait_differ_by_at_most_one(seed):
    """The fairness bound of start-time fair queueing, while both have something waiting."""
    lots = random.Random(seed)
    order: FairOrder[Item] = FairOrder()
    for _ in range(60):
        for owner in lots.choices("abcd", [8, 3, 2, 1], k=lots.randint(0, 3)):
            order.add(Item(owner))
        waiting = Counter(item.owner for item in order)
        served: Counter[str] = Counter()
        for _ in range(lots.randint(0, min(4, len(order)))):
            served[order.take().owner] += 1
        still = [owner for owner in waiting if order.count(owner)]
        assert all(abs(served[a] - served[b]) <= 2 for a in still for b in still)


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_lost_and_each_visitors_own_order_is_kept(seed):
    lots = random.Random(seed)
    order: FairOrder[Item] = FairOrder()
    added, left = [], []
    for number in range(100):
        item = Item(lots.choice("abc"), number)
        order.add(item)
        added.append(item)
        if lots.random() < 0.4:
            left.append(order.take())
        elif lots.random() < 0.2:
            removed = lots.choice(list(order))
            order.remove(removed)
            added.remove(removed)
            assert removed not in order
    while len(order):
        left.append(order.take())
    assert sorted(item.number for item in left) == [item.number for item in added]
    for owner in "abc":
        numbers = [item.number for item in left if item.owner == owner]
        assert numbers == sorted(numbers)
