"""The end of what visitors left: results, comparisons and copies older than the owner keeps them."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable

from studio.compare import Comparisons
from studio.history import Entry, History
from studio.ui.media import remove_result

HOUR_SECONDS = 3600.0
SWEEP_SECONDS = 600.0
IMPORTED = "imported-"  # folders of bundles, see studio.compare.bundle
logger = logging.getLogger(__name__)


class Expiry:
    """`hours` since a result was finished; 0 keeps everything. `clock` in seconds since 1970."""

    def __init__(
        self, history: History, comparisons: Comparisons, hours: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._history, self._comparisons, self._hours, self._clock = history, comparisons, hours, clock

    def sweep(self) -> int:
        """Delete what is older; how many results. What is still made, or waits, is never touched.

        A clock that was set back makes results look new: they go once it has caught up.
        """
        before = self._clock() - self._hours * HOUR_SECONDS
        old = [entry for entry in self._history.ended(before) if _finished(entry) < before] if self._hours else []
        for entry in old:
            if self._history.remove(entry.id, entry.owner) is not None:
                remove_result(entry, self._history.path.parent)
        if self._hours:
            self._comparisons.remove_older(before)
            self._remove_empty()
        return len(old)

    def sweep_from_now(self) -> None:
        """Now and then, as long as the studio runs."""
        if self._hours:
            threading.Thread(target=self._sweep_often, name="sweep results", daemon=True).start()

    def _sweep_often(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self.sweep()
            except Exception:  # a locked history or a full disk: the next sweep tries again
                logger.exception("old results could not be deleted")
            pause.wait(min(SWEEP_SECONDS, self._hours * HOUR_SECONDS / 4))

    def _remove_empty(self) -> None:
        for folder in self._history.path.parent.glob(f"{IMPORTED}*"):
            with contextlib.suppress(OSError):  # not empty, or no folder
                folder.rmdir()


def _finished(entry: Entry) -> float:
    """When it ended; a job that waited for hours is not old because it was asked for long ago."""
    moments = [entry.created + entry.seconds]
    for path in entry.paths:
        with contextlib.suppress(OSError):
            moments.append(path.stat().st_mtime)
    return max(moments)
