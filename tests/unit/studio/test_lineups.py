"""A lineup as a plan: MCM's own, with weights that have their teacher and weights that do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.mcm import METHOD
from models.mcm.config import McmWeights
from studio.compare import Costs, lineup_plan
from studio.history import History
from studio.presets import Preset
from studio.ui.moments import facts

(STEPS,) = METHOD.lineups
STUDENT: dict[str, Any] = {"unet": "u", "vae": "v", "text_encoder": "t", "tokenizer": "k", "scheduler": "s"}


@pytest.fixture
def plan_of(tmp_path: Path):
    history = History(tmp_path / "history.sqlite")

    def made(teacher: str = "t", ready: Callable[[Preset], str] = lambda preset: "", **changes: Any):
        request = METHOD.request(**{"prompt": "a red ball", "seed": 11} | changes)
        preset = Preset("pocket", "MCM", METHOD, McmWeights(**STUDENT, teacher=teacher), request, Path("nowhere.yaml"))
        return lineup_plan(preset, STEPS, request, ready, Costs(history))

    yield made
    history.close()


def test_six_videos_of_one_prompt_and_seed_differ_in_their_steps_alone(plan_of):
    plan = plan_of(num_frames=8, guidance_scale=3.0, num_inference_steps=6)
    requests = [cell.request for cell in plan.possible]
    assert len(requests) == len(plan.rows) == 6 and plan.columns == ("",)
    assert {(r.prompt, r.seed, r.num_frames, r.guidance_scale) for r in requests} == {("a red ball", 11, 8, 3.0)}
    counts = [(r.teacher, r.teacher_steps if r.teacher else r.num_inference_steps) for r in requests]
    assert counts == [(True, 50), (True, 25), (False, 8), (False, 4), (False, 2), (False, 1)]
    assert [cell.label for cell in plan.order()] == list(plan.rows)


def test_a_lineup_asked_from_the_teacher_s_settings_is_the_same(plan_of):
    asked = plan_of(teacher="t", teacher_steps=30)
    assert [cell.request.teacher for cell in asked.cells] == [True] * 2 + [False] * 4


def test_without_the_teacher_the_student_s_videos_are_still_made(plan_of):
    plan = plan_of(teacher="")
    assert [bool(cell.request) for cell in plan.cells] == [False] * 2 + [True] * 4
    assert "without their teacher" in plan.cells[0].reason


def test_absent_weights_are_the_reason_of_every_cell(plan_of):
    plan = plan_of(ready=lambda preset: "There are no weights.")
    assert not plan.possible and {cell.reason for cell in plan.cells} == {"There are no weights."}


def test_the_line_below_a_video_counts_the_steps_that_were_taken(plan_of):
    lines = [facts(METHOD, vars(cell.request), None) for cell in plan_of().cells]
    assert lines[0] == "Seed 11 · 50 steps · distillation off"
    assert lines[3:] == ["Seed 11 · 4 steps", "Seed 11 · 2 steps", "Seed 11 · 1 step"]
