"""Threads share one heap, where the C library would have given them several."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

THREADS = """
import ctypes, sys, threading
from studio.one_heap import one_heap
if sys.argv[1] == "one":
    one_heap()
together, libc = threading.Barrier(8), ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
def allocate():
    together.wait()
    libc.malloc(ctypes.c_size_t(1000))
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library is not glibc"
)
def test_eight_threads_have_one_heap():
    heaps = {
        kind: subprocess.run([sys.executable, "-c", THREADS, kind], capture_output=True, text=True, check=True)
        .stdout.count("<heap nr=")
        for kind in ("one", "many")
    }  # fmt: skip
    assert heaps["one"] == 1 < heaps["many"]
