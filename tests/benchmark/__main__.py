"""`make bench`: every benchmark in turn, tables and one JSON line each. Name some to run only those."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = {
    "startup": "tests.benchmark.startup",
    "pocket_speed": "tests.benchmark.pocket_speed",
    "registry": "tests.benchmark.registry",
    "cvd_step": "tests.benchmark.cvd_step",
    "echovideo_step": "tests.benchmark.echovideo_step",
    "customvideox_step": "tests.benchmark.customvideox_step",
    "pocket_quality": "tests.benchmark.pocket_quality",
    "metric_truth": "tests.benchmark.metric_truth",
    "watermark": "tests.benchmark.watermark",
}


def main() -> int:
    wanted = sys.argv[1:] or list(BENCHMARKS)
    for name in wanted:
        if name not in BENCHMARKS:
            print(f"There is no benchmark {name!r}. There are: {', '.join(BENCHMARKS)}.", file=sys.stderr)
            return 2
    for name in wanted:
        print(f"\n== {name}", flush=True)
        subprocess.run([sys.executable, "-m", BENCHMARKS[name]], check=True, cwd=Path(__file__).parents[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
