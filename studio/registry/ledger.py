"""Bytes of one kind of memory: who holds how many, what is free, and what had better go when room is needed.

Plain numbers; nothing here moves anything.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Ledger:
    """`budget` in bytes, never exceeded: what is taken is written down before a byte moves."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._held: dict[Hashable, int] = {}

    @property
    def used(self) -> int:
        return sum(self._held.values())

    @property
    def free(self) -> int:
        return self.budget - self.used

    def held(self, holder: Hashable) -> int:
        return self._held.get(holder, 0)

    def take(self, holder: Hashable, bytes: int) -> None:
        """Add to what `holder` has; the caller has made room."""
        assert bytes >= 0 and bytes <= self.free, f"{bytes} bytes for {holder} do not fit in {self.free}"
        self._held[holder] = self.held(holder) + bytes

    def give_back(self, holder: Hashable, bytes: int | None = None) -> int:
        """Some, or all, of what `holder` has; the bytes."""
        held = self._held.pop(holder, 0)
        given = held if bytes is None else bytes
        assert given <= held, f"{holder} gives back {given} of {held} bytes"
        if given < held:
            self._held[holder] = held - given
        return given


@dataclass(frozen=True)
class Candidate(Generic[K]):
    """Something that could go. `next_use`: place in the queue of the job that needs it, None when none does.

    `reload_seconds`: what bringing it back would cost. `last_use` counts uses, larger is newer.
    """

    name: K
    bytes: int
    reload_seconds: float
    next_use: int | None
    last_use: int


def choose_evictions(candidates: Iterable[Candidate[K]], needed: int) -> list[K] | None:
    """What to drop to free `needed` bytes; None when all of it would not do.

    First what no queued job needs, oldest use and cheapest return first; then what is needed latest.
    """
    if needed <= 0:
        return []
    ranked = sorted(candidates, key=_worth_keeping)
    chosen: list[Candidate[K]] = []
    freed = 0
    for candidate in ranked:
        if freed >= needed:
            break
        chosen.append(candidate)
        freed += candidate.bytes
    if freed < needed:
        return None
    for candidate in sorted(chosen, key=_worth_keeping, reverse=True):  # spare what turned out not to be needed
        if freed - candidate.bytes >= needed:
            chosen.remove(candidate)
            freed -= candidate.bytes
    return [candidate.name for candidate in chosen]


def _worth_keeping(candidate: Candidate[K]) -> tuple[int, float]:
    """Sorts by what a return would cost, weighed by how soon it is likely."""
    if candidate.next_use is not None:
        return 1, -candidate.next_use
    cost = candidate.reload_seconds / max(candidate.bytes, 1)
    return 0, candidate.last_use * (1 + min(cost * 1e9, 10.0))  # seconds per GB: a slow return counts as a newer use
