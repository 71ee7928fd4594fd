"""One reading of one component's bytes, however many wait for it. A background thread that touches bytes only."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from torch import Tensor

from models.method import StopRequested
from studio.registry.files import WeightsError, WeightsFile, shown
from studio.registry.layout import Layout
from studio.registry.reading import fill

logger = logging.getLogger(__name__)
_readers = threading.Semaphore(2)  # a disk gains nothing from more


class Fetch:
    """Starts at once. `waiters` is the registry's to count: the last one to leave ends it."""

    def __init__(self, allocate: Callable[[int], Tensor], layout: Layout, files: Sequence[WeightsFile]) -> None:
        self.total = layout.file_bytes
        self.done = 0
        self.waiters = 0
        self.buffer: Tensor | None = None
        self.error: BaseException | None = None
        self.finished = threading.Event()
        self._given_up = False
        self._allocate, self._layout, self._files = allocate, layout, files
        threading.Thread(target=self._read, name="fetch", daemon=True).start()

    def give_up(self) -> None:
        """End at the next chunk."""
        self._given_up = True

    def _read(self) -> None:
        try:
            with _readers:
                self.buffer = self._filled()
        except OSError as error:
            self.error = WeightsError(
                f"The weights in {shown(self._files[0].path.parent)} cannot be read: {error.strerror or error}.",
                "Check the disk, then try again.",
            )
        except BaseException as error:  # of whatever kind, it belongs to those who wait
            if not isinstance(error, StopRequested | WeightsError):
                logger.exception("reading %s", shown(self._files[0].path.parent))
            self.error = error.with_traceback(None)  # its frames would keep the buffer alive
        finally:
            self.finished.set()

    def _filled(self) -> Tensor:
        """In a frame of its own: once `finished` is set, this thread must not keep the buffer alive."""
        self._count(0)
        buffer = self._allocate(self._layout.bytes)
        fill(buffer, self._layout, self._files, self._count)
        return buffer

    def take_buffer(self) -> Tensor | None:
        """What was read, once: nothing else keeps it alive."""
        buffer, self.buffer = self.buffer, None
        return buffer

    def _count(self, bytes: int) -> None:
        self.done += bytes
        if self._given_up:
            raise StopRequested
