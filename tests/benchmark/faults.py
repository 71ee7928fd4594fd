"""Break what is around a studio, again and again, and count what it survives and what is lost.

    python -m tests.benchmark.faults [--tries 3] [FAULT ...]

Survived: the page went on or came back, every job had an end in words, the next video came out. Lost: videos that were
ready and are not whole on disk any more. The last line is one JSON object; docs/reliability.md holds the table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

from tests.benchmark.fault_cases import CASES, CLOCK, Trial, jumping_clock, removed_weights, with_own_weights


def try_once(name: str) -> tuple[bool, int]:
    """Whether the studio survived, and the videos lost."""
    with tempfile.TemporaryDirectory(prefix="quintet-faults-") as place:
        folder = Path(place)
        presets = with_own_weights(folder) if CASES[name] is removed_weights else None
        if CASES[name] is jumping_clock:
            _make_clock(folder)
        trial = Trial(folder, presets)
        try:
            CASES[name](trial)
            return True, trial.lost()
        except (AssertionError, OSError, StopIteration) as error:
            print(f"{name}: {error}\n{traceback.format_exc(limit=-2)}", file=sys.stderr)
            return False, trial.lost()
        finally:
            trial.close()
            os.environ.pop("PYTHONPATH", None)


def _make_clock(folder: Path) -> None:
    """A clock that every Python started from here reads, and that a file sets."""
    (folder / "site").mkdir()
    (folder / "site/sitecustomize.py").write_text(CLOCK, encoding="utf-8")
    os.environ["PYTHONPATH"] = str(folder / "site")
    os.environ["QUINTET_TEST_CLOCK"] = str(folder / "clock")


def main() -> int:
    parser = argparse.ArgumentParser(description="Faults around a studio")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join(CASES))
    parser.add_argument("--tries", type=int, default=3)
    arguments = parser.parse_args()
    names = [name for name in CASES if not arguments.faults or any(word in name for word in arguments.faults)]
    print("| fault | tries | survived | videos lost |\n|---|---|---|---|", flush=True)
    table = {}
    for name in names:
        tries = [try_once(name) for _ in range(arguments.tries)]
        survived, lost = sum(alive for alive, _ in tries), sum(gone for _, gone in tries)
        table[name] = {"tries": len(tries), "survived": survived, "lost": lost}
        print(f"| {name} | {len(tries)} | {survived} | {lost} |", flush=True)
    print("\n" + json.dumps({"benchmark": "faults", "faults": table}))
    return int(any(row["survived"] < row["tries"] or row["lost"] for row in table.values()))


if __name__ == "__main__":
    sys.exit(main())
