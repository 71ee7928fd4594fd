"""Cases shared out over processes of one thread each: at pocket size two such processes beat one with two threads."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

import torch

Case = TypeVar("Case")
Result = TypeVar("Result")


def share_out(
    work: Callable[[Sequence[Case]], list[Result]], cases: Sequence[Case], processes: int | None = None
) -> list[Result]:
    """`work` on equal shares of the cases, one share a process; the results in the order of the cases."""
    count = min(processes or os.cpu_count() or 1, len(cases))
    if count <= 1:
        return work(cases)
    shares = [cases[i::count] for i in range(count)]
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _one_thread) as pool:
        done = list(pool.map(work, shares))
    results: list[Any] = [None] * len(cases)
    for i, share in enumerate(done):
        results[i::count] = share
    return results


def _one_thread() -> None:
    torch.set_num_threads(1)
