"""The owner's limit on how long results are kept, by a clock that is set by hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from studio.compare import Comparison, Comparisons
from studio.compare.record import Member
from studio.events import JobSpec
from studio.history import Entry, History
from studio.jobs import Job
from studio.ui.expiry import HOUR_SECONDS, Expiry
from studio.ui.gallery_tab import kept_for
from studio.ui.media import cached
from studio.ui.served import AGE_SECONDS, age_of

NOW = 1_800_000_000.0
ME, ANOTHER = "me", "another"


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def history(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    made = History(tmp_path / "results" / "history.sqlite")
    yield made
    made.close()


@pytest.fixture
def made(history) -> Comparisons:
    return Comparisons(history.path.parent / "comparisons", None, history, {})  # type: ignore[arg-type]


@pytest.fixture
def expiry(history, made, clock) -> Expiry:
    return Expiry(history, made, 24, clock)


def result(history: History, id: str, hours: float, owner: str = ME, folder: str = "") -> Entry:
    """A video that was finished this long ago."""
    moment = NOW - hours * HOUR_SECONDS
    files = tuple(history.path.parent / folder / f"{id}{suffix}" for suffix in (".mp4", ".webp"))
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(id.encode())
        os.utime(file, (moment, moment))
    entry = Entry(
        id, owner, "sketch/pocket", "sketch", {"prompt": id}, moment - 9, "finished", files[:1], files[1], 9.0
    )
    history.adopt(entry)
    return entry


def test_what_is_older_goes_with_its_files_and_copies_and_the_rest_stays(expiry, history):
    old, young = result(history, "old", 25, ANOTHER), result(history, "young", 23)
    copies = [cached(entry.paths[0]) for entry in (old, young)]
    assert expiry.sweep() == 1
    assert (history.entry("old", ANOTHER), history.entry("young", ME)) == (None, young)
    files = [path for entry in (old, young) for path in (*entry.paths, entry.poster) if path]
    assert [path.exists() for path in files] == [False] * 2 + [True] * 2
    assert [Path(copy or "").exists() for copy in copies] == [False, True]
    assert expiry.sweep() == 0


def test_by_and_by_everything_goes(expiry, history, clock):
    entries = [result(history, str(hours), hours) for hours in range(0, 20, 5)]
    left = []
    for hours in range(0, 30, 5):
        clock.now = NOW + hours * HOUR_SECONDS + 1
        expiry.sweep()
        left.append(sum(entry.paths[0].exists() for entry in entries))
    assert left == [4, 4, 3, 2, 1, 0]


def test_a_job_that_waits_or_runs_stays_however_long_it_takes(expiry, history, preset, clock):
    job = Job(JobSpec("slow", preset.key, preset.method.name, preset.request, preset.recipe), ME)
    job.created = NOW - 100 * HOUR_SECONDS
    history.add(job)
    assert expiry.sweep() == 0
    assert history.entry("slow", ME) is not None


def test_a_result_counts_from_its_end_and_not_from_when_it_was_asked_for(expiry, history):
    entry = result(history, "waited long", 1)
    history.remove(entry.id, ME)
    asked = NOW - 90 * HOUR_SECONDS
    history.adopt(Entry("waited long", ME, entry.preset, "sketch", {}, asked, "finished", entry.paths, None, 9.0))
    assert expiry.sweep() == 0
    assert entry.paths[0].exists()


def test_failed_jobs_go_too_and_hold_no_files(expiry, history):
    history.adopt(Entry("failed", ME, "sketch/pocket", "sketch", {"prompt": "x"}, NOW - 1e6, "failed", message="no"))
    assert expiry.sweep() == 1
    assert history.entries(ME) == []


def test_zero_hours_keep_everything(history, made, clock):
    entry = result(history, "ancient", 1e5)
    assert Expiry(history, made, 0, clock).sweep() == 0
    assert entry.paths[0].exists()


def test_a_clock_that_was_set_back_deletes_nothing(expiry, history, clock):
    entry = result(history, "now", 0)
    clock.now = 1_000.0
    assert expiry.sweep() == 0
    assert entry.paths[0].exists()


def test_files_outside_the_results_stay(expiry, history, tmp_path):
    outside = tmp_path / "mine.mp4"
    outside.write_bytes(b"mine")
    os.utime(outside, (1, 1))
    history.adopt(Entry("far", ME, "sketch/pocket", "sketch", {}, 1.0, "finished", (outside,)))
    expiry.sweep()
    assert outside.exists()


def test_a_comparison_goes_with_the_last_of_its_results_and_a_bundle_s_folder_too(expiry, history, made, clock):
    entries = [result(history, "a", 30, folder="imported-1"), result(history, "b", 10, folder="imported-1")]
    members = tuple(Member(0, n, "A", "a", "sketch/pocket", {}, entry.id) for n, entry in enumerate(entries))
    kept = Comparison("1-a", NOW - 40 * HOUR_SECONDS, "two", ("",), ("a", "b"), members)
    made.keep(kept, ME)
    expiry.sweep()
    assert made.get("1-a", ME) == kept
    clock.now += 15 * HOUR_SECONDS
    expiry.sweep()
    assert made.get("1-a", ME) is None
    assert not (history.path.parent / "imported-1").exists()


def test_copies_are_kept_no_longer_than_results_and_never_longer_than_a_day():
    assert age_of(0) == age_of(99) == AGE_SECONDS
    assert age_of(2) == 7200


def test_the_history_says_how_long_it_keeps():
    assert "24 hours" in kept_for(24.0)
    assert "0.5 hours" in kept_for(0.5)
