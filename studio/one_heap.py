"""One heap for all threads of the page's process: glibc gives threads heaps of their own, and under a crowd the free
pieces in them grew to as much as was in use, without end. Threads of Python seldom ask for memory at the same time."""

from __future__ import annotations

import ctypes
import sys

M_ARENA_MAX = -8  # malloc.h


def one_heap() -> None:
    """To be called before threads are started. Does nothing where the C library is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
