"""Seconds of a whole pocket clip: MCM in four steps against its teacher in 25 guided ones, in turns in one run.

python -m tests.benchmark.mcm_speed [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

from studio.presets import preset_for, request_with
from studio.registry import Registry

ASKED = {"student": {"teacher": False, "num_inference_steps": 4}, "teacher": {"teacher": True, "teacher_steps": 25}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    preset = preset_for("mcm", "pocket")
    taken: dict[str, list[float]] = {name: [] for name in ASKED}
    with Registry("cpu").acquire(preset.recipe) as pipeline:
        for index in range(options.rounds + 1):  # the first round warms up
            for name, values in ASKED.items():
                start = time.monotonic()
                pipeline(request_with(preset.request, values), lambda step: None)
                if index:
                    taken[name].append(time.monotonic() - start)
    ratios = [slow / fast for slow, fast in zip(taken["teacher"], taken["student"], strict=True)]
    middle = statistics.median(ratios)
    seconds = {name: statistics.median(times) for name, times in taken.items()}
    print(f"MCM, 4 steps                 {seconds['student']:6.2f} s a clip")
    print(f"teacher, 25 guided steps     {seconds['teacher']:6.2f} s a clip")
    print(
        f"teacher over MCM, by rounds  {min(ratios):6.2f} .. {max(ratios):.2f}, median {statistics.median(ratios):.2f}"
    )
    print(json.dumps({"benchmark": "mcm_speed", "seconds": {k: round(v, 3) for k, v in seconds.items()},
                      "ratio": round(middle, 2)}))  # fmt: skip


if __name__ == "__main__":
    main()
