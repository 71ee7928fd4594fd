"""The queue over an executor that the test drives by hand."""

from __future__ import annotations

import contextvars
import dataclasses
import queue
import threading
from typing import Any

import pytest

from studio.events import TERMINAL, Failed, Finished, Loading, Progress, Started, Stopped, StudioError, Waiting
from studio.history import History
from studio.jobs import JobQueue, QueueFull

PATIENCE = 10.0
WHO = contextvars.ContextVar("who")


class ByHand:
    """`events.put(event)` makes the running job say it; a terminal one ends the job. A stop ends it too."""

    def __init__(self):
        self.events = queue.Queue()
        self.order = []
        self.closed = False

    def run(self, spec, emit, cancelled):
        self.order.append(spec.id)
        while True:
            try:
                event = self.events.get(timeout=0.005)
            except queue.Empty:
                if cancelled():
                    emit(Stopped())
                    return
                continue
            if isinstance(event, Exception):
                raise event
            emit(event)
            if isinstance(event, TERMINAL):
                return

    def close(self):
        self.closed = True


@pytest.fixture
def executor():
    return ByHand()


@pytest.fixture
def history(tmp_path):
    history = History(tmp_path / "history.sqlite")
    yield history
    history.close()


@pytest.fixture
def jobs(executor, history):
    jobs = JobQueue(executor, history, max_queue=3)
    yield jobs
    jobs.close()


def reach(job, wanted):
    """The events up to the first for which `wanted` is true."""
    seen = []
    for event in job.events():
        seen.append(event)
        if wanted(event):
            return seen
    raise AssertionError(f"never came: {seen}")


def started(event):
    return isinstance(event, Started)


DONE = Finished((), None, 1.0)  # type: ignore[arg-type]


def test_a_job_says_waiting_started_and_one_terminal_event_last(jobs, executor, preset):
    job = jobs.submit(preset, preset.request, "ann")
    executor.events.put(Loading("vae", 1, 2))
    executor.events.put(DONE)
    assert list(job.events()) == [Waiting(0), Started(), Loading("vae", 1, 2), DONE]
    assert job.state == "finished" and job.latest == DONE


def test_several_readers_replay_the_same_events_from_any_point(jobs, executor, preset):
    job = jobs.submit(preset, preset.request, "ann")
    collected = [[] for _ in range(3)]
    readers = [threading.Thread(target=lambda i=i: collected[i].extend(job.events(since=i))) for i in range(3)]
    for reader in readers:
        reader.start()
    executor.events.put(Progress("encode"))
    executor.events.put(DONE)
    for reader in readers:
        reader.join(PATIENCE)
    everything = list(job.events())
    assert collected == [everything, everything[1:], everything[2:]]
    assert list(job.events(since=len(everything))) == []


def test_nothing_follows_the_terminal_event(jobs, executor, preset):
    job = jobs.submit(preset, preset.request, "ann")
    executor.events.put(DONE)
    list(job.events())
    job.emit(Failed("late"))
    assert list(job.events())[-1] == DONE


def test_positions_count_the_jobs_ahead_and_follow_the_queue(jobs, executor, preset):
    first = jobs.submit(preset, preset.request, "ann")
    reach(first, started)
    second, third = (jobs.submit(preset, preset.request, "bob") for _ in range(2))
    assert (second.latest, third.latest) == (Waiting(1), Waiting(2))
    executor.events.put(DONE)
    reach(second, started)
    assert reach(third, lambda event: event == Waiting(1)) == [Waiting(2), Waiting(1)]
    assert jobs.stop(second.id, "bob")
    assert reach(third, started) == [Waiting(2), Waiting(1), Started()]
    executor.events.put(DONE)
    list(third.events())
    assert executor.order == [first.id, second.id, third.id]


def test_a_waiting_job_stops_at_once_and_never_starts(jobs, executor, preset):
    first = jobs.submit(preset, preset.request, "ann")
    reach(first, started)
    second, third = (jobs.submit(preset, preset.request, "ann") for _ in range(2))
    assert jobs.stop(second.id, "ann")
    assert list(second.events()) == [Waiting(1), Stopped()]
    assert third.latest == Waiting(1)
    assert not jobs.stop(second.id, "ann")
    executor.events.put(DONE)
    reach(third, started)
    assert second.id not in executor.order


def test_only_the_owner_sees_stops_and_lists_a_job(jobs, executor, preset, history):
    job = jobs.submit(preset, preset.request, "ann")
    reach(job, started)
    assert jobs.get(job.id, "eve") is None and not jobs.stop(job.id, "eve") and jobs.jobs("eve") == []
    assert history.entry(job.id, "eve") is None and history.entries("eve") == []
    assert job.state == "running"
    assert jobs.get(job.id, "ann") is job and jobs.jobs("ann") == [job]


def test_what_the_weights_cannot_make_is_refused_at_once(jobs, executor, preset, history):
    short = dataclasses.replace(preset, weights=type(preset.weights)(longest=4))
    with pytest.raises(ValueError, match="at most 4 with these weights"):
        jobs.submit(short, preset.request, "ann")
    assert jobs.jobs("ann") == [] and history.entries("ann") == []


def test_a_full_queue_is_refused_in_words_and_takes_jobs_again_later(jobs, executor, preset, history):
    running = jobs.submit(preset, preset.request, "ann")
    reach(running, started)
    waiting = [jobs.submit(preset, preset.request, "ann") for _ in range(3)]
    with pytest.raises(QueueFull, match="3 jobs are waiting"):
        jobs.submit(preset, preset.request, "bob")
    assert history.entries("bob") == []
    jobs.stop(waiting[0].id, "ann")
    assert jobs.submit(preset, preset.request, "bob").latest == Waiting(1)


def test_a_visitors_second_job_lets_another_visitors_first_one_pass(jobs, executor, preset):
    running = jobs.submit(preset, preset.request, "ann")
    reach(running, started)
    second, third = (jobs.submit(preset, preset.request, "ann") for _ in range(2))
    other = jobs.submit(preset, preset.request, "bob")
    assert [job.latest for job in (other, second, third)] == [Waiting(1), Waiting(2), Waiting(3)]
    for job in (running, other, second, third):
        reach(job, started)
        executor.events.put(DONE)
        list(job.events())
    assert executor.order == [running.id, other.id, second.id, third.id]


def test_an_executor_that_raises_or_says_nothing_fails_the_job_and_the_next_runs(jobs, executor, preset):
    job = jobs.submit(preset, preset.request, "ann")
    executor.events.put(RuntimeError("broken"))
    assert isinstance(list(job.events())[-1], Failed)
    job = jobs.submit(preset, preset.request, "ann")
    executor.events.put(DONE)
    assert list(job.events())[-1] == DONE


def test_the_history_is_up_to_date_when_the_terminal_event_is_seen(jobs, executor, preset, history, tmp_path):
    job = jobs.submit(preset, preset.request, "ann")
    assert history.entry(job.id, "ann").state == "running"
    executor.events.put(Finished((tmp_path / "a.mp4",), tmp_path / "a.webp", 2.5))
    list(job.events())
    entry = history.entry(job.id, "ann")
    assert (entry.state, entry.paths, entry.seconds) == ("finished", (tmp_path / "a.mp4",), 2.5)


def test_a_history_that_cannot_be_written_costs_no_job(jobs, executor, preset, history):
    history.close()
    job = jobs.submit(preset, preset.request, "ann")
    executor.events.put(DONE)
    assert list(job.events())[-1] == DONE


def test_pictures_are_dropped_from_a_finished_job(jobs, executor, preset):
    job = jobs.submit(preset, preset.request, "ann")
    executor.events.put(Progress("denoise", 1, 2, b"picture"))
    reach(job, lambda event: event == Progress("denoise", 1, 2, b"picture"))
    executor.events.put(DONE)
    assert list(job.events())[-1] == DONE
    assert Progress("denoise", 1, 2, None) in list(job.events())


def test_closing_stops_every_job_and_refuses_new_ones(executor, history, preset):
    jobs = JobQueue(executor, history)
    running = jobs.submit(preset, preset.request, "ann")
    reach(running, started)
    waiting = jobs.submit(preset, preset.request, "ann")
    jobs.close()
    assert (running.latest, waiting.latest, executor.closed) == (Stopped(), Stopped(), True)
    with pytest.raises(StudioError, match="closing"):
        jobs.submit(preset, preset.request, "ann")
    assert [entry.state for entry in history.entries("ann")] == ["stopped", "stopped"]


def test_ids_cannot_be_guessed(jobs, preset):
    ids = {jobs.submit(preset, preset.request, "ann").id for _ in range(3)}
    assert len(ids) == 3 and all(len(id) >= 20 for id in ids)


def test_a_job_runs_in_the_context_of_whoever_asked_for_it(history, preset):
    seen = []

    class Noting(ByHand):
        def run(self, spec, emit, cancelled):
            seen.append(WHO.get("nobody"))
            super().run(spec, emit, cancelled)

    executor: Any = Noting()
    jobs = JobQueue(executor, history)
    asked = []
    for name in ("ann", "bob"):
        context = contextvars.copy_context()
        context.run(WHO.set, name)
        asked.append(context.run(jobs.submit, preset, preset.request, name))
        executor.events.put(DONE)
    for job in asked:
        assert list(job.events())[-1] == DONE
    jobs.close()
    assert seen == ["ann", "bob"] and not any(list(job.asked_in) for job in asked)
