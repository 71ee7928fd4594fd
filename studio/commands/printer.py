"""A job told in a terminal: progress on stderr, the files' names on stdout."""

from __future__ import annotations

import sys

from studio.commands import BAD_INPUT, FAILED
from studio.events import Event, Failed, Finished, Loading, Progress, Started


class Printer:
    """`exit_code` is what the job's end asks for."""

    def __init__(self) -> None:
        self.exit_code = FAILED
        self._live = sys.stderr.isatty()  # one line that changes, or a line per event in a log

    def show(self, event: Event) -> None:
        if isinstance(event, Finished):
            self._line("")
            print(*event.paths, sep="\n")
            print(f"{event.seconds:.1f} s", file=sys.stderr)
            self.exit_code = 0
        elif isinstance(event, Failed):
            self._line("")
            print(f"quintet: {event.message} {event.advice}".rstrip(), file=sys.stderr)
            self.exit_code = BAD_INPUT if event.bad_input else FAILED
        elif isinstance(event, Loading):
            of = f" {event.done_bytes >> 20} of {event.total_bytes >> 20} MB" if event.total_bytes else ""
            self._line(f"loading {event.stage}{of}")
        elif isinstance(event, Progress):
            count = f" {event.index}/{event.total}" if event.stage == "denoise" else ""
            left = f", {event.seconds_left:.0f} s left" if event.seconds_left is not None else ""
            self._line(f"{event.stage}{count}{left}")
        elif not isinstance(event, Started):
            self._line(type(event).__name__.lower())

    def _line(self, words: str) -> None:
        if self._live:
            print(f"\r\033[K{words}", end="", file=sys.stderr, flush=True)
        elif words:
            print(words, file=sys.stderr)
