"""The tally of blind votes and what it dares to say."""

from __future__ import annotations

import pytest

from studio.compare import Tally, Votes


def test_votes_count_for_the_same_clip_whichever_way_round_it_was_shown(tmp_path):
    votes = Votes(tmp_path / "votes.jsonl")
    votes.add("me", "x", "y", "a")
    votes.add("me", "y", "x", "b")
    votes.add("me", "y", "x", "tie")
    votes.add("me", "x", "z", "b")
    votes.add("somebody", "x", "y", "b")
    assert votes.tally("me", "x", "y") == Tally(a=2, tie=1)
    assert votes.tally("me", "y", "x") == Tally(b=2, tie=1)


def test_nobodys_name_is_written_and_a_damaged_line_costs_only_itself(tmp_path):
    votes = Votes(tmp_path / "votes.jsonl")
    votes.add("a-secret-visitor", "x", "y", "a")
    with (tmp_path / "votes.jsonl").open("a") as file:
        file.write('{"owner": \n[1]\n')
    votes.add("a-secret-visitor", "x", "y", "bad")
    assert "a-secret-visitor" not in (tmp_path / "votes.jsonl").read_text()
    assert votes.tally("a-secret-visitor", "x", "y") == Tally(a=1, bad=1)


@pytest.mark.parametrize(
    ("tally", "told"),
    [
        (Tally(), "Too few votes: 0 of"),
        (Tally(a=9), "Too few votes: 9 of"),
        (Tally(a=9, tie=20, bad=20), "Too few votes: 9 of"),
        (Tally(a=7, b=5), "Too few votes to tell"),
        (Tally(a=10), "X is preferred"),
        (Tally(a=3, b=20), "Y is preferred"),
    ],
)
def test_a_winner_is_named_only_when_the_interval_leaves_out_chance(tally, told):
    assert told in tally.verdict("X", "Y")
    low, high = tally.interval.low, tally.interval.high
    assert ("preferred" in told) <= (high < 0.5 or low > 0.5)
