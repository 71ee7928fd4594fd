"""The parity runner itself: its exit codes and its table."""

from __future__ import annotations

import math

import pytest
import torch

import tests.parity.__main__ as runner
from tests.parity.case import Case, Measure, level_error, relative_error


def run(monkeypatch, folder, *cases: Case) -> int:
    monkeypatch.setattr(runner, "all_cases", lambda: iter(cases))
    return runner.main([str(folder)])


def test_agreement_is_zero_and_disagreement_is_one(monkeypatch, tmp_path, capsys):
    good = Case("m/good", (), lambda g: {"a": 1e-7, "b": Measure(0.01, 0.1)})
    bad = Case("m/bad", (), lambda g: {"a": 1e-7, "b": 2e-4})
    assert run(monkeypatch, tmp_path, good) == 0
    assert run(monkeypatch, tmp_path, good, bad) == 1
    assert "b: 2.00e-04 above 1e-04" in capsys.readouterr().out


@pytest.mark.parametrize("error", [math.nan, math.inf])
def test_nothing_that_is_not_a_number_passes(monkeypatch, tmp_path, error):
    assert run(monkeypatch, tmp_path, Case("m/x", (), lambda g: {"a": error})) == 1


def test_a_case_that_raises_or_compares_nothing_fails(monkeypatch, tmp_path):
    assert run(monkeypatch, tmp_path, Case("m/x", (), lambda g: {"a": 1 / 0})) == 1
    assert run(monkeypatch, tmp_path, Case("m/x", (), lambda g: {})) == 1


def test_absent_files_are_said_and_a_folder_without_cases_is_an_error(monkeypatch, tmp_path, capsys):
    absent = Case("m/x", ("m/*.safetensors",), lambda g: {"a": 1.0})
    assert run(monkeypatch, tmp_path, absent) == 2
    assert run(monkeypatch, tmp_path, absent, Case("m/y", (), lambda g: {"a": 0.0})) == 0
    assert "needs m/*.safetensors" in capsys.readouterr().out
    assert runner.main([str(tmp_path / "nowhere")]) == 2


def test_errors_are_relative_and_exact_for_integers():
    a = torch.tensor([1.0, 2.0])
    assert relative_error(a, a) == 0
    assert relative_error(a * 1.001, a) == pytest.approx(1e-3, rel=1e-3)
    assert relative_error(torch.tensor([1, 2]), torch.tensor([1, 3])) == math.inf
    assert relative_error(torch.tensor([math.nan, 1.0]), a) == math.inf
    with pytest.raises(AssertionError, match="shape"):
        relative_error(a[:1], a)


def test_pictures_may_be_one_level_off_here_and_there():
    a = torch.zeros(100, 100, dtype=torch.uint8)
    b = a.clone()
    b[0, 0] = 1
    measure = level_error(b, a)
    assert measure.error <= measure.tolerance
    b[0, 0] = 2
    assert level_error(b, a).error == math.inf
