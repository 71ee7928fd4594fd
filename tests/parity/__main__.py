"""`python -m tests.parity GOLDENS_FOLDER [--only TEXT]`: run every case, print the largest errors, fail above 1e-4."""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

from tests.parity import all_cases
from tests.parity.case import Case, Measure


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 when every case of the folder is within tolerance, 1 otherwise, 2 for a folder without cases."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument("goldens", type=Path, help="folder with <method>/config.json and .safetensors files")
    parser.add_argument("--only", default="", help="run only cases whose name contains this text")
    options = parser.parse_args(argv)
    if not options.goldens.is_dir():
        print(f"There is no folder {options.goldens}.", file=sys.stderr)
        return 2
    cases = [case for case in all_cases() if options.only in case.name]
    absent = [case for case in cases if case.missing(options.goldens)]
    present = [case for case in cases if case not in absent]
    if not present:
        print(f"{options.goldens} holds the files of no case.", file=sys.stderr)
        return 2
    passed = [report(case, options.goldens) for case in present]
    for case in absent:
        print(f"{case.name:<34} {'absent':>9}  needs {', '.join(case.missing(options.goldens))}")
    print(f"{sum(passed)} of {len(passed)} cases within tolerance, {len(absent)} absent")
    return 0 if all(passed) else 1


def report(case: Case, goldens: Path) -> bool:
    """Print one line with the worst label of a case, and a line for every label above its tolerance."""
    try:
        measures = case.measure(goldens)
    except Exception:  # a case that cannot run is a failed case, the others still count
        print(f"{case.name:<34} {'error':>9}\n{traceback.format_exc()}")
        return False

    def excess(measure: Measure) -> float:
        return measure.error / measure.tolerance

    worst = max(measures, key=lambda label: excess(measures[label]))
    wrong = [label for label, measure in measures.items() if not measure.error <= measure.tolerance]
    verdict = "FAIL" if wrong else "ok"
    print(f"{case.name:<34} {measures[worst].error:>9.1e}  {verdict:<4} {len(measures):>3} compared, worst {worst}")
    for label in wrong:
        print(f"    {label}: {measures[label].error:.2e} above {measures[label].tolerance:.0e}")
    return not wrong


if __name__ == "__main__":
    sys.exit(main())
