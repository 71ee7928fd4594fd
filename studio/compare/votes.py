"""Votes of blind comparisons, kept as one line each, and how sure their sum is."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studio.compare.record import owner_folder
from studio.metrics.intervals import Interval, share

Vote = Literal["a", "b", "tie", "bad"]
ENOUGH = 10  # votes for one of the two; below, chance alone often looks like a winner


@dataclass(frozen=True)
class Tally:
    """The votes on one pair. Ties and "both bad" are told, but say nothing of which is better."""

    a: int = 0
    b: int = 0
    tie: int = 0
    bad: int = 0

    @property
    def total(self) -> int:
        return self.a + self.b + self.tie + self.bad

    @property
    def interval(self) -> Interval:
        """The share of decided votes that went to a, with its 95% interval."""
        return share(self.a, self.a + self.b)

    def verdict(self, a: str, b: str) -> str:
        """In words, and never more than the votes can carry."""
        decided = self.a + self.b
        if decided < ENOUGH:
            return f"Too few votes: {decided} of at least {ENOUGH} decided."
        if not self.interval.excludes(0.5):
            return "Too few votes to tell them apart: the interval holds 50%."
        return f"{a if self.a > self.b else b} is preferred."


class Votes:
    """One file of JSON lines. A line that cannot be read is passed over: the others still count."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def add(self, owner: str, a: str, b: str, vote: Vote) -> None:
        """Record a vote on the variants `a` and `b`."""
        line = json.dumps({"owner": owner_folder(owner), "a": a, "b": b, "vote": vote, "time": round(time.time())})
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def tally(self, owner: str, a: str, b: str) -> Tally:
        """This owner's votes on the pair, whichever way round it was shown."""
        counts = {"a": 0, "b": 0, "tie": 0, "bad": 0}
        turned = {"a": "b", "b": "a"}
        known = owner_folder(owner)
        for line in self._lines():
            if line.get("owner") != known or {line.get("a"), line.get("b")} != {a, b}:
                continue
            vote = str(line.get("vote"))
            vote = vote if line["a"] == a else turned.get(vote, vote)
            if vote in counts:
                counts[vote] += 1
        return Tally(**counts)

    def _lines(self) -> list[dict[str, object]]:
        with self._lock:
            text = self._path.read_text(encoding="utf-8") if self._path.is_file() else ""
        found = []
        for line in text.splitlines():
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                found.append(value)
        return found
