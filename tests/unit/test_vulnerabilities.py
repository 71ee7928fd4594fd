"""What `make check` says of pip-audit's answer, or of none."""

from __future__ import annotations

import json

import pytest

from tests.vulnerabilities import verdict

CLEAN = {"name": "av", "version": "18.1.0", "vulns": []}
ABSENT = {"name": "torch", "skip_reason": "not found"}
BAD = {
    "name": "gradio", "version": "6.1.0",
    "vulns": [{"id": "CVE-2026-28416", "fix_versions": ["6.6"]}, {"id": "PYSEC-1", "fix_versions": []}],
}  # fmt: skip


def test_a_known_vulnerability_fails_and_is_named_with_its_mend():
    code, told = verdict(json.dumps({"dependencies": [CLEAN, BAD, ABSENT]}))
    assert code == 1
    assert told.splitlines() == [
        "2 of 3 pinned packages were looked up, 2 known vulnerabilities.",
        "gradio 6.1.0: CVE-2026-28416, mended in 6.6",
        "gradio 6.1.0: PYSEC-1, not mended yet",
    ]


def test_none_passes_and_says_how_many_were_looked_up():
    assert verdict(json.dumps({"dependencies": [CLEAN, ABSENT]})) == (
        0, "1 of 2 pinned packages were looked up, no known vulnerability.",
    )  # fmt: skip


@pytest.mark.parametrize("report", ["", "Traceback", "[]", json.dumps({"dependencies": [ABSENT]})])
def test_no_answer_is_no_failure_and_is_said(report):
    code, told = verdict(report)
    assert code == 0 and told.startswith("Known vulnerabilities were NOT looked up: the package index ")
