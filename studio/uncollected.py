"""Imports with Python's cycle collector off: a third of the time that Gradio or torch takes to import is the collector
looking, again and again, through what the import has just made and what stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """No cycles are looked for inside. May be nested; of two threads the first to leave lets the collector run."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
