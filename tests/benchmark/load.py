"""A crowd on the real page: jobs lost, results mixed up, memory, and how soon the page answers meanwhile.

    python -m tests.benchmark.load [--visitors 50] [--seconds 300] [--fake]

Every visitor opens the page as a browser would, with the events that a page begins with, presses Generate with words
of their own, waits, checks that the clip is theirs by the settings inside, and begins again with a fresh page. The
studio runs in a process of its own with the pocket weights (--fake: with a method that draws a square, to try the
harness). The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmark.visitor import Visitor
from tests.browser.studio import ROOT, running_studio, write_presets

STEPS = 4  # of a video: the crowd is measured, not the network
LOOK_EVERY_SECONDS = 2.0
WARM_SHARE = 0.5  # of the time, after which memory should be flat: 500 pages are kept, and that many must have come


@dataclass
class Count:
    """What happened, shared by all visitors."""

    outcomes: Counter[str] = field(default_factory=Counter)
    page_seconds: list[float] = field(default_factory=list)
    job_seconds: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)  # seconds since the start, MB of the server
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, outcome: str, seconds: float = 0.0, wrong: str = "") -> None:
        with self.lock:
            self.outcomes[outcome] += 1
            if outcome == "done":
                self.job_seconds.append(seconds)
            if wrong:
                self.wrong.append(wrong)


def visit(address: str, number: int, tab: str, until: float, count: Count) -> None:
    """One visitor until the time is over; a job that was begun is waited for."""
    lots = random.Random(number)
    visitor, turn = Visitor(address), 0
    while time.monotonic() < until:
        with_page = visitor.open()
        with count.lock:
            count.page_seconds.append(with_page)
        visitor.settle()
        turn += 1
        prompt = f"a red cube bounces on grass, visitor {number} turn {turn}"
        made = visitor.generate(tab, prompt, num_inference_steps=STEPS)
        visitor.after(tab)
        if made.state == "done":
            mine = made.words == prompt and prompt.encode() in made.clip
            count.add("done" if mine else "mixed up", made.seconds, "" if mine else f"{prompt!r} got {made.words!r}")
        elif made.state == "refused":
            count.add("refused" if "waiting" in made.words else "refused oddly", wrong=made.words)
            threading.Event().wait(lots.uniform(1, 3))  # as a person who reads "try again"
        else:
            count.add("lost", wrong=f"{prompt!r}: {made.state} {made.words}")


def run(visitors: int, seconds: float, fake: bool) -> Count:
    """All visitors at once."""
    count = Count()
    with tempfile.TemporaryDirectory(prefix="quintet-load-") as name:
        folder = Path(name)
        presets = write_presets(folder / "presets", folder / "release") if fake else ROOT / "presets"
        packages = "models,tests.fakes" if fake else "models"
        with running_studio(folder, presets, packages, ("--max-queue", str(max(20, visitors)))) as studio:
            tab = "Sketch" if fake else _first_tab(studio.address)
            Visitor(studio.address).open()
            start = time.monotonic()
            ended = threading.Event()
            watch = threading.Thread(target=_watch, args=(studio.process.pid, start, ended, count))
            watch.start()
            _all_at_once([_visitor(studio.address, number, tab, start + seconds, count) for number in range(visitors)])
            ended.set()
            watch.join()
    return count


def _visitor(address: str, number: int, tab: str, until: float, count: Count) -> Callable[[], None]:
    def stay() -> None:
        try:
            visit(address, number, tab, until, count)
        except Exception as error:  # a visitor that the page did not answer
            count.add("lost", wrong=f"visitor {number}: {type(error).__name__}: {error}")

    return stay


def _all_at_once(tasks: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _first_tab(address: str) -> str:
    """The page opens on it."""
    visitor = Visitor(address)
    visitor.open()
    return visitor.first_method_tab()


def _watch(pid: int, start: float, ended: threading.Event, count: Count) -> None:
    while not ended.wait(LOOK_EVERY_SECONDS):
        count.memory.append((time.monotonic() - start, server_megabytes(pid)))


def server_megabytes(pid: int) -> float:
    """Resident memory of the page's own process; the worker's is weights."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    return int(found[1]) / 1024 if found else 0.0


def growth(memory: list[tuple[float, float]], seconds: float) -> float:
    """MB a minute after the beginning, by least squares; 0 where there is too little to say."""
    late = [point for point in memory if point[0] >= WARM_SHARE * seconds]
    if len(late) < 3:
        return 0.0
    slope = statistics.linear_regression([at for at, _ in late], [size for _, size in late]).slope
    return 60 * slope


def at_quarters(memory: list[tuple[float, float]]) -> list[int]:
    """MB at the beginning, after each quarter of what was watched, and at the end."""
    last = len(memory) - 1
    return [round(memory[last * quarter // 4][1]) for quarter in range(5)] if memory else []


def main() -> int:
    arguments = _arguments()
    count = run(arguments.visitors, arguments.seconds, arguments.fake)
    done, pages = count.job_seconds or [0.0], sorted(count.page_seconds) or [0.0]
    p50, p95 = statistics.median(pages), pages[min(len(pages) - 1, int(0.95 * len(pages)))]
    rows = [
        ("visitors, seconds", f"{arguments.visitors}, {arguments.seconds:.0f}"),
        ("jobs done", f"{count.outcomes['done']:,}"),
        ("jobs lost", f"{count.outcomes['lost']:,}"),
        ("results mixed up", f"{count.outcomes['mixed up']:,}"),
        ("refused in words", f"{count.outcomes['refused'] + count.outcomes['refused oddly']:,}"),
        ("a job from click to clip, median", f"{statistics.median(done):.1f} s"),
        ("page answers, median / p95", f"{1000 * p50:.0f} / {1000 * p95:.0f} ms (at most 300 asked)"),
        ("memory of the page's process, by quarters", f"{', '.join(map(str, at_quarters(count.memory)))} MB"),
        ("its growth in the second half", f"{growth(count.memory, arguments.seconds):+.1f} MB a minute"),
    ]
    print("| crowd | measured |\n|---|---|")
    for what, number in rows:
        print(f"| {what} | {number} |")
    for words, times in Counter(count.wrong).most_common(10):
        print(f"{times} x {words}", file=sys.stderr)
    result = {
        "benchmark": "load", "visitors": arguments.visitors, "seconds": arguments.seconds, "fake": arguments.fake,
        **count.outcomes, "page_p50_ms": round(1000 * p50, 1), "page_p95_ms": round(1000 * p95, 1),
        "memory_mb": at_quarters(count.memory),
        "growth_mb_per_minute": round(growth(count.memory, arguments.seconds), 2),
    }  # fmt: skip
    print("\n" + json.dumps(result))
    return int(bool(count.outcomes["lost"] or count.outcomes["mixed up"] or not count.outcomes["done"]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A crowd on the real page")
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--fake", action="store_true", help="a method that draws a square, in place of the networks")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
