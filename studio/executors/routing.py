"""Which replica takes a job: the one that has its weights, else an unused one, else the warm one when it is free,
unless many wait for that. No library, no processes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

R = TypeVar("R")
PATIENCE = 3  # jobs that may wait for a warm replica before a cold one takes the next


class Router(Generic[R]):
    """Hands out places in turn; `hits` and `misses` count jobs that found their weights warm, or not."""

    def __init__(self, replicas: list[R]) -> None:
        self._free = list(replicas)
        self._warm: dict[R, list[str]] = {}  # methods a replica has run, the last one last
        self._waiting: dict[str, int] = {}
        self._changed = threading.Condition()
        self.hits = self.misses = 0

    def take(self, method: str, given_up: Callable[[], bool] = lambda: False) -> R | None:
        """A replica of one's own until `give_back`; None when `given_up` says so first."""
        with self._changed:
            self._waiting[method] = self._waiting.get(method, 0) + 1
            try:
                while (replica := self._choose(method)) is None:
                    if given_up():
                        return None
                    self._changed.wait(0.05)
            finally:
                self._waiting[method] -= 1
            self._free.remove(replica)
            known = self._warm.setdefault(replica, [])
            if method in known:
                self.hits += 1
                known.remove(method)
            else:
                self.misses += 1
            known.append(method)
            return replica

    def give_back(self, replica: R) -> None:
        """Free for the next job."""
        with self._changed:
            self._free.append(replica)
            self._changed.notify_all()

    def replace(self, lost: R, new: R) -> None:
        """`new` stands in for a replica that is gone; it has nobody's weights."""
        with self._changed:
            self._warm.pop(lost, None)
            self._free = [replica for replica in self._free if replica is not lost]
            self._free.append(new)
            self._changed.notify_all()

    def _choose(self, method: str) -> R | None:
        warm = [replica for replica in self._free if method in self._warm.get(replica, ())]
        if warm:  # where it was used last, it is least likely to have been evicted
            return max(warm, key=lambda replica: self._warm[replica].index(method) - len(self._warm[replica]))
        fresh = [replica for replica in self._free if replica not in self._warm]
        if fresh:
            return fresh[0]
        at_work = any(method in known for known in self._warm.values())
        if at_work and self._waiting[method] <= PATIENCE:
            return None  # the one that has its weights will be free soon
        return self._free[0] if self._free else None
