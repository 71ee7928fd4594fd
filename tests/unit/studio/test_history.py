from __future__ import annotations

from dataclasses import replace

import pytest

from studio.events import Failed, Finished, JobSpec, Stopped, StudioError
from studio.history import Entry, History
from studio.jobs import Job


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "history.sqlite"


def make(preset, id: str, owner: str = "ann") -> Job:
    return Job(JobSpec(id, preset.key, preset.method.name, preset.request, preset.recipe), owner)


def test_entries_survive_a_restart_newest_first(path, preset, tmp_path):
    history = History(path)
    ends = (Finished((tmp_path / "v.mp4",), tmp_path / "v.webp", 3.0), Failed("It broke.", "Mend it."), Stopped())
    for id, end in zip("abc", ends, strict=True):
        job = make(preset, id)
        history.add(job)
        history.finish(job, end)
    history.close()
    reopened = History(path)
    entries = reopened.entries("ann")
    assert [(entry.id, entry.state) for entry in entries] == [("c", "stopped"), ("b", "failed"), ("a", "finished")]
    assert entries[1].message == "It broke." and entries[1].advice == "Mend it."
    assert entries[2].paths == (tmp_path / "v.mp4",) and entries[2].poster == tmp_path / "v.webp"
    assert entries[2].request["prompt"] == preset.request.prompt
    assert [entry.id for entry in reopened.entries("ann", limit=1, before=entries[0].created)] == ["b"]
    assert [entry.id for entry in reopened.entries("ann", state="failed")] == ["b"]
    reopened.close()


def test_jobs_left_running_by_a_dead_server_are_failed(path, preset):
    history = History(path)
    history.add(make(preset, "a"))
    history.close()
    reopened = History(path)
    entry = reopened.entry("a", "ann")
    assert entry is not None and entry.state == "failed" and "ended before" in entry.message and entry.advice
    reopened.close()


def test_a_server_that_was_killed_loses_nothing(path, preset):
    history = History(path)
    history.add(make(preset, "a"))
    copy = path.with_name("copy.sqlite")  # what a kill leaves: the file and its journal, never closed
    for suffix in ("", "-wal"):
        copy.with_name(copy.name + suffix).write_bytes(path.with_name(path.name + suffix).read_bytes())
    assert [entry.id for entry in History(copy).entries("ann")] == ["a"]
    history.close()


@pytest.mark.parametrize("damage", [b"this is no database" * 100, None])
def test_a_damaged_file_is_moved_aside_with_a_notice(path, preset, damage):
    history = History(path)
    for id in map(str, range(200)):
        history.add(make(preset, id))
    history.close()
    content = path.read_bytes()
    path.write_bytes(damage or content[:4096] + b"\xff" * 8192 + content[4096 + 8192 :])
    kept = path.read_bytes()
    reopened = History(path)
    aside = next(path.parent.glob("*.damaged-*"))
    assert aside.name in reopened.notice and aside.read_bytes() == kept
    reopened.add(make(preset, "new"))
    assert [entry.id for entry in reopened.entries("ann")] == ["new"]
    reopened.close()


def test_a_file_that_is_damaged_while_it_is_open_is_moved_aside_and_work_goes_on(path, preset):
    history = History(path)
    for id in map(str, range(200)):
        history.add(make(preset, id))
    database = history._database
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    path.write_bytes(b"\xff" * path.stat().st_size)
    database.execute("PRAGMA shrink_memory").fetchall()  # or it would go on from what it remembers
    job = make(preset, "7")  # it began before the damage
    history.finish(job, Finished((path,), path, 1.0))
    assert "damaged" in history.notice
    assert [(entry.id, entry.state) for entry in history.entries("ann")] == [("7", "finished")]
    history.close()


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StudioError, match="cannot be made"):
        History(tmp_path / "file" / "history.sqlite")
    with pytest.raises(StudioError, match="cannot be opened"):
        History(tmp_path)


def aged(id: str, prompt: str, days: float = 0.0, preset: str = "sketch/pocket") -> Entry:
    created = 1_700_000_000 - days * 24 * 3600
    return Entry(id, "me", preset, "sketch", {"prompt": prompt}, created, "finished", seconds=1.0)


@pytest.fixture
def kept(tmp_path):
    history = History(tmp_path / "kept.sqlite")
    for entry in (
        aged("1", "An ÄRMEL waves", 3),
        aged("2", "a red ball", 2),
        aged("3", "a red cube", 1, "sketch/held"),
    ):
        history.adopt(entry)
    yield history
    history.close()


def test_results_are_found_by_words_in_any_case_and_order(kept):
    assert [entry.id for entry in kept.entries("me", words="RED")] == ["3", "2"]
    assert [entry.id for entry in kept.entries("me", words="ball red")] == ["2"]
    assert [entry.id for entry in kept.entries("me", words="ärmel")] == ["1"]
    assert [entry.id for entry in kept.entries("me", words="red", limit=1)] == ["3"]
    assert kept.entries("somebody", words="red") == []


def test_results_are_found_by_preset_and_time(kept):
    assert [entry.id for entry in kept.entries("me", preset="sketch/held")] == ["3"]
    since = 1_700_000_000 - 2.5 * 24 * 3600
    assert [entry.id for entry in kept.entries("me", since=since)] == ["3", "2"]
    assert [entry.id for entry in kept.entries("me", since=since, preset="sketch/pocket", words="red")] == ["2"]


def test_only_the_owner_removes_an_entry_and_only_once_it_is_over(kept):
    assert kept.remove("2", "somebody") is None
    removed = kept.remove("2", "me")
    assert removed is not None
    assert removed.prompt == "a red ball"
    assert [entry.id for entry in kept.entries("me")] == ["3", "1"]
    kept.adopt(replace(aged("4", "now"), state="running"))
    assert kept.remove("4", "me") is None
