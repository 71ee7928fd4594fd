"""Comparisons over real jobs: started, finished, stopped, retried, kept across a restart, closed to others."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from studio.compare import Axis, Brief, Comparisons, Costs, make_plan, variants
from studio.compare.plan import METHOD, parse_axis
from studio.events import StudioError
from studio.executors.inline import InlineExecutor
from studio.history import History
from studio.jobs import JobQueue
from studio.presets import Preset, request_with

ME, OTHER = "m" * 32, "o" * 32


class Desk:
    """A queue, a history and the comparisons over them, in one folder."""

    def __init__(self, settings, preset: Preset, max_queue: int = 20) -> None:
        self.folder: Path = settings.output_dir
        self.preset = preset
        self.history = History(self.folder / "history.sqlite")
        self.jobs = JobQueue(InlineExecutor(settings), self.history, max_queue)
        self.made = Comparisons(self.folder / "comparisons", self.jobs, self.history, {preset.key: preset})
        self.known = variants([preset])

    def plan(self, words: str = "on, off", name: str = "trail", **brief):
        columns = parse_axis(name, words, list(self.known.values()))
        rows = Axis(METHOD, (self.preset.key,))
        ready = lambda preset: ""  # noqa: E731
        return make_plan(
            Brief("a square", **brief), self.known, rows, columns, self.preset.key, ready, Costs(self.history)
        )

    def wait(self, comparison, owner: str = ME):
        for member in comparison.members:
            job = self.jobs.get(member.job, owner)
            for _ in job.events() if job else ():
                pass
        return self.made.states(comparison, owner)

    def close(self) -> None:
        self.jobs.close()
        self.history.close()


@pytest.fixture
def desk(settings, preset):
    made = Desk(settings, preset)
    yield made
    made.close()


def test_cells_run_and_finish_with_their_own_settings(desk):
    comparison = desk.made.start(desk.plan(), ME)
    states = desk.wait(comparison)
    assert [state.state for state in states] == ["finished", "finished"]
    assert [state.member.request["trail"] for state in states] == [True, False]
    assert all(state.paths[0].is_file() and state.seconds is not None for state in states)


def test_a_failed_cell_says_why_and_is_retried_alone(desk):
    comparison = desk.made.start(desk.plan("none, error", "fault"), ME)
    good, bad = desk.wait(comparison)
    assert (good.state, bad.state) == ("finished", "failed")
    assert "RuntimeError" in bad.message
    again = desk.made.retry(comparison, ME, 1)
    assert again.members[0] == comparison.members[0]
    assert again.members[1].job != comparison.members[1].job
    assert [state.state for state in desk.wait(again)] == ["finished", "failed"]
    assert desk.made.get(again.id, ME) == again


def test_stop_all_leaves_none_running(desk, tmp_path):
    release = tmp_path / "release"
    held = request_with(desk.preset.request, {"hold_at_step": 1, "release_file": str(release)})
    desk.jobs.submit(desk.preset, held, ME)
    comparison = desk.made.start(desk.plan(), ME)
    assert [state.state for state in desk.made.states(comparison, ME)] == ["waiting", "waiting"]
    desk.made.stop(comparison, ME, 0)
    assert [state.state for state in desk.made.states(comparison, ME)] == ["stopped", "waiting"]
    desk.made.stop(comparison, ME)
    release.touch()
    assert [state.state for state in desk.wait(comparison)] == ["stopped", "stopped"]


def test_a_full_queue_costs_only_the_cells_that_do_not_fit(settings, preset, tmp_path):
    desk = Desk(settings, preset, max_queue=2)
    release = tmp_path / "release"
    held = request_with(preset.request, {"hold_at_step": 1, "release_file": str(release)})
    first = desk.jobs.submit(preset, held, ME)
    while first.state == "waiting":
        time.sleep(0.01)
    comparison = desk.made.start(desk.plan("1, 2, 3", "seed"), ME)
    states = desk.made.states(comparison, ME)
    assert [state.state for state in states] == ["waiting", "waiting", "impossible"]
    assert "queue is full" in states[2].message
    release.touch()
    desk.wait(comparison)
    assert desk.wait(desk.made.retry(comparison, ME, 2))[2].state == "finished"
    desk.close()


def test_a_cell_that_cannot_be_made_keeps_its_reason(desk):
    comparison = desk.made.start(desk.plan("8, 9", "num_frames"), ME)
    states = desk.wait(comparison)
    assert [state.state for state in states] == ["finished", "impossible"]
    assert "multiple of 4" in states[1].message
    with pytest.raises(StudioError, match="None of these"):
        desk.made.start(desk.plan("9, 10", "num_frames"), ME)


def test_a_comparison_outlives_a_restart(settings, preset):
    desk = Desk(settings, preset)
    comparison = desk.made.start(desk.plan(), ME)
    before = desk.wait(comparison)
    desk.close()
    desk = Desk(settings, preset)
    found = desk.made.get(comparison.id, ME)
    assert found is not None
    assert found == comparison
    after = desk.made.states(found, ME)
    assert [(s.state, s.paths) for s in after] == [(s.state, s.paths) for s in before]
    assert desk.made.newest(ME) == [comparison]
    desk.close()


def test_nobody_else_finds_it(desk):
    comparison = desk.made.start(desk.plan(), ME)
    desk.wait(comparison)
    assert desk.made.get(comparison.id, OTHER) is None
    assert desk.made.newest(OTHER) == []
    assert {state.state for state in desk.made.states(comparison, OTHER)} == {"failed"}


def test_an_id_from_the_page_cannot_leave_the_folder(desk):
    (desk.folder / "secret.json").write_text("{}")
    assert desk.made.get("../../secret", ME) is None


def test_damaged_files_and_deleted_results_do_not_break_the_rest(desk):
    first = desk.made.start(desk.plan(), ME)
    states = desk.wait(first)
    folder = next((desk.folder / "comparisons").iterdir())
    (folder / "99999999999999999999-aa.json").write_text('{"id": ')
    states[0].paths[0].unlink()
    assert desk.made.newest(ME) == [first]
    desk.jobs._jobs.clear()  # as after a restart
    desk.history.remove(first.members[1].job, ME)
    assert [state.state for state in desk.made.states(first, ME)] == ["finished", "failed"]


def test_past_results_join_a_comparison_once(desk):
    comparison = desk.made.start(desk.plan(), ME)
    desk.wait(comparison)
    one, two = desk.history.entries(ME)
    grown = desk.made.add(desk.made.add(None, one, "One", ME), two, "Two", ME)
    assert grown.rows == ("One", "Two")
    assert desk.made.add(grown, two, "Two", ME) == grown
    assert [state.state for state in desk.made.states(grown, ME)] == ["finished", "finished"]
