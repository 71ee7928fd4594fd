"""Every registered case against the goldens, one test per case."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parity import all_cases
from tests.parity.case import Case


@pytest.mark.parametrize("case", list(all_cases()), ids=lambda case: case.name)
def test_agrees_with_the_authors_code(case: Case, goldens: Path) -> None:
    if missing := case.missing(goldens):
        pytest.skip(f"the goldens hold no {', '.join(missing)}")
    measures = case.measure(goldens)
    wrong = {label: m.error for label, m in measures.items() if not m.error <= m.tolerance}
    assert not wrong, f"above tolerance: {wrong}"
