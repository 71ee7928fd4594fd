"""Our networks against numbers produced by the authors' code. `python -m tests.parity GOLDENS_FOLDER` runs every case.

A method registers its cases in `tests/parity/cases_<method>.py` as a tuple `CASES` and in `CASE_MODULES` here.
Dimensions, seeds, schedules, frames and tags are read from the files of the folder, never assumed.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator

from tests.parity.case import Case

CASE_MODULES = ("repvideo", "echovideo", "cvd", "camera", "mcm")


def all_cases() -> Iterator[Case]:
    """Every case of every method that has a case module."""
    for name in CASE_MODULES:
        module = f"{__name__}.cases_{name}"
        if importlib.util.find_spec(module) is not None:
            yield from importlib.import_module(module).CASES
