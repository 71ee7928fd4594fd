"""A short run of `make fuzz`: every reader of what strangers hand in meets a hundred damaged files."""

from __future__ import annotations

import pytest

from tests.benchmark.fuzz import run, unlike_a_sentence
from tests.benchmark.fuzz_parsers import PARSERS

CASES, SEED = 100, 2026


@pytest.mark.parametrize("name", PARSERS)
def test_damaged_files_are_read_or_refused_in_a_sentence(name, capfd):
    found = run(name, CASES, SEED)
    assert not found["crashed"], capfd.readouterr().err
    assert found["refused"] and found["read"], "the damage is too small or too large to tell anything"


@pytest.mark.parametrize(
    "words", ["", "'utf-8' codec can't decode byte 0xed", "Traceback (most recent call last).", "x" * 900 + "."]
)
def test_what_is_no_sentence_counts_as_a_crash(words):
    assert unlike_a_sentence(words, "/tmp/somewhere")


def test_a_sentence_may_begin_with_the_files_name():
    assert not unlike_a_sentence("case.mp4 is not a video that can be read.", "/tmp/somewhere")
