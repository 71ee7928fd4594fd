"""Threads share one heap, where the C library would have given them several, and what is free in it goes back."""

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


HOLES = """
import ctypes, re, time
from pathlib import Path
from studio import one_heap
one_heap.EVERY_SECONDS = 0.1
one_heap.one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
def megabytes():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
blocks = []
for _ in range(1000):
    blocks.append(libc.malloc(ctypes.c_size_t(100_000)))
    ctypes.memset(blocks[-1], 1, 100_000)
    libc.malloc(ctypes.c_size_t(32))  # kept: the heap does not become shorter
full = megabytes()
for block in blocks:
    libc.free(ctypes.c_void_p(block))
until = time.monotonic() + 60
while megabytes() > full - 80 and time.monotonic() < until:
    time.sleep(0.05)
print(megabytes() <= full - 80)
"""


glibc = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library is not glibc"
)


@glibc
def test_eight_threads_have_one_heap():
    heaps = {
        kind: subprocess.run([sys.executable, "-c", THREADS, kind], capture_output=True, text=True, check=True)
        .stdout.count("<heap nr=")
        for kind in ("one", "many")
    }  # fmt: skip
    assert heaps["one"] == 1 < heaps["many"]


@glibc
def test_what_is_free_between_pieces_in_use_goes_back():
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
