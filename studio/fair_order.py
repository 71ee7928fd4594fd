"""Whose turn it is: visitors take turns, however many jobs each of them has waiting."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Owned(Protocol):
    """Anything that belongs to a visitor."""

    @property
    def owner(self) -> str: ...


T = TypeVar("T", bound=Owned)


class FairOrder(Generic[T]):
    """A queue that gives every owner one place in each round; within a round, first come, first served.

    An owner's first item joins the round that is being served, each further one the round after the owner's last.
    Source: start-time fair queueing, Goyal, Vin & Cheng 1996, with jobs of equal weight.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, T]] = []  # round, arrival, item; sorted
        self._arrivals = itertools.count()
        self._next_round: dict[str, int] = {}  # of owners that were given a round not served yet
        self._served = 0  # the round of the item that was taken last

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[T]:
        """In the order in which they will be taken, unless others come."""
        return (item for _, _, item in list(self._waiting))

    def __contains__(self, item: object) -> bool:
        return any(waiting is item for waiting in self)

    def count(self, owner: str) -> int:
        return sum(item.owner == owner for item in self)

    def add(self, item: T) -> None:
        turn = max(self._served, self._next_round.get(item.owner, 0))
        self._next_round[item.owner] = turn + 1
        self._waiting.append((turn, next(self._arrivals), item))
        self._waiting.sort(key=lambda entry: entry[:2])

    def take(self) -> T:
        """The next item; IndexError when none waits."""
        self._served, _, item = self._waiting.pop(0)
        self._next_round = {owner: turn for owner, turn in self._next_round.items() if turn > self._served}
        return item

    def remove(self, item: T) -> None:
        self._waiting = [entry for entry in self._waiting if entry[2] is not item]

    def clear(self) -> None:
        self._waiting.clear()
