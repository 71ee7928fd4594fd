"""Damaged files for every reader of what strangers hand in: each is read or refused in a sentence.

    python -m tests.benchmark.fuzz [--cases 10000] [--seed 0] [PARSER ...]

Each parser runs in a process of its own, so that one which ends it is counted and not the end of the count. The last
line is one JSON object. A case is made again by its parser, seed and number: --cases 1 --first NUMBER.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path

from tests.benchmark.fuzz_parsers import PARSERS

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 20.0  # of computing, for one case
MEMORY_BYTES = 8 << 30  # of addresses; torch alone takes three
LONGEST_SENTENCE = 600
SENTENCE = re.compile(
    r"(\S+\.\w+[:,]? |[A-Z0-9'\"(\u201c]).*[.?!)'\"]", re.DOTALL
)  # or it begins with the file's name
ABSENT = "no answer: the process ended"


class TooLong(BaseException):
    """A case computes for longer than any reader should."""


def run(name: str, cases: int, seed: int, first: int = 0) -> Counter[str]:
    """Counts of read, refused and crashed; what crashed goes to stderr with its number."""
    from studio.events import StudioError

    signal.signal(signal.SIGPROF, _too_long)
    found: Counter[str] = Counter(read=0, refused=0, crashed=0)
    with tempfile.TemporaryDirectory(prefix="quintet-fuzz-") as folder:
        parser = PARSERS[name](Path(folder))
        for number in range(first, first + cases):
            case = parser.make(random.Random(f"{name}/{seed}/{number}"))
            signal.setitimer(signal.ITIMER_PROF, PATIENCE_SECONDS)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    parser.read(case)
                found["read"] += 1
            except (ValueError, StudioError) as error:
                wrong = "" if isinstance(error, StudioError) else _stray(error)
                wrong = wrong or unlike_a_sentence(str(error), folder)
                found["crashed" if wrong else "refused"] += 1
                if wrong:
                    print(f"{name}, case {number}: {wrong}: {type(error).__name__}: {error!s:.300}", file=sys.stderr)
            except (Exception, TooLong):
                found["crashed"] += 1
                print(f"{name}, case {number}:\n{traceback.format_exc(limit=-4)}", file=sys.stderr)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
    return found


def unlike_a_sentence(words: str, folder: str) -> str:
    """What is wrong with a refusal: it is for a person, and tells nothing of this machine."""
    if len(words) > LONGEST_SENTENCE or not SENTENCE.fullmatch(words.strip()):
        return "not a sentence"
    if "Traceback" in words or f"{folder}/home" in words:
        return "tells of this machine"
    return ""


def _stray(error: ValueError) -> str:
    """A library's own kind of ValueError is no refusal of ours."""
    return "not refused by us" if isinstance(error, UnicodeError | json.JSONDecodeError) else ""


def run_apart(name: str, cases: int, seed: int, first: int) -> Counter[str]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmark.fuzz", name, "--here", "--seed", str(seed)]
    command += ["--cases", str(cases), "--first", str(first)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return Counter(json.loads(lines[-1]))
    print(f"{name}: {ABSENT} ({done.returncode})", file=sys.stderr)
    return Counter(read=0, refused=0, crashed=1)


def main() -> int:
    """Print the table; 1 when anything crashed."""
    arguments = _arguments()
    names = arguments.parsers or list(PARSERS)
    if unknown := [name for name in names if name not in PARSERS]:
        print(f"There is no parser {unknown[0]!r}. There are: {', '.join(PARSERS)}.", file=sys.stderr)
        return 2
    if arguments.here:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        print(json.dumps(run(names[0], arguments.cases, arguments.seed, arguments.first)))
        return 0
    print("| parser | cases | refused in a sentence | read | crashed |\n|---|---|---|---|---|", flush=True)
    table = {}
    for name in names:
        table[name] = found = run_apart(name, arguments.cases, arguments.seed, arguments.first)
        print(
            f"| {name} | {arguments.cases:,} | {found['refused']:,} | {found['read']:,} | {found['crashed']:,} |",
            flush=True,
        )
    print("\n" + json.dumps({"benchmark": "fuzz", "seed": arguments.seed, "cases": arguments.cases, "parsers": table}))
    return int(any(found["crashed"] for found in table.values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Damaged files for every parser")
    parser.add_argument("parsers", nargs="*", metavar="PARSER", help=", ".join(PARSERS))
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _too_long(signum: int, frame: object) -> None:
    raise TooLong


if __name__ == "__main__":
    sys.exit(main())
