"""Memory of the page's process that is free, given back. glibc gives threads heaps of their own, and keeps what lies
free between two pieces in use: under a crowd that grew to as much as was in use, without end."""

from __future__ import annotations

import ctypes
import sys
import threading

M_ARENA_MAX = -8  # malloc.h
EVERY_SECONDS = 20.0  # giving back takes some milliseconds


def one_heap() -> None:
    """One heap for all threads, which seldom ask for memory at the same time in Python; what is free in it goes back
    now and again. To be called before threads are started. Does nothing where the C library is not glibc."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim"):
        libc.mallopt(M_ARENA_MAX, 1)
        threading.Thread(target=_give_back, args=(libc,), name="gives memory back", daemon=True).start()


def _give_back(libc: ctypes.CDLL) -> None:
    never = threading.Event()
    while not never.wait(EVERY_SECONDS):
        libc.malloc_trim(0)
