"""ZeroGPU emulated on any machine: each call runs in a forked process, everything that crosses is pickled, a stop is
heard only after the next yield, and what the fork learns is lost with it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from typing import Any

PATIENCE = 60.0  # seconds between two events


class Spaces:
    """The part of the library `spaces` that the studio uses; remembers what was asked of it."""

    def __init__(self) -> None:
        self.decorated: list[Callable[..., Any]] = []
        self.durations: list[int] = []

    def GPU(self, duration: Callable[..., int]) -> Callable[[Any], Any]:
        def decorate(function: Any) -> Any:
            self.decorated.append(function)

            def call(*arguments: Any) -> Iterator[Any]:
                self.durations.append(duration(*arguments))
                return _forked(function, arguments)

            return call

        return decorate


def _forked(function: Any, arguments: tuple[Any, ...]) -> Iterator[Any]:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    stop = context.Event()

    def work() -> None:
        events = function(*arguments)
        for event in events:
            theirs.send(event)
            if stop.is_set():
                events.close()
                break
        theirs.send(None)

    process = context.Process(target=work)
    process.start()
    try:
        while True:
            assert ours.poll(PATIENCE), "the fork says nothing"
            event = ours.recv()
            if event is None:
                return
            yield event
    finally:
        stop.set()
        process.join(PATIENCE)
        assert process.exitcode == 0
