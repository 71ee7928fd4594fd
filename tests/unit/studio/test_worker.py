from __future__ import annotations

from studio.executors.worker import set_threads, usable_cores


def test_threads_set_outside_win_over_automatic_and_lose_to_a_setting(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    set_threads(0)
    import os

    assert os.environ["OMP_NUM_THREADS"] == "3" and os.environ["GOMP_SPINCOUNT"] == "1000"
    set_threads(5)
    assert os.environ["OMP_NUM_THREADS"] == "5"
    monkeypatch.delenv("OMP_NUM_THREADS")
    set_threads(0)
    assert os.environ["OMP_NUM_THREADS"] == str(usable_cores()) and usable_cores() >= 1
