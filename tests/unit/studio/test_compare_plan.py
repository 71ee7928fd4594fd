"""Briefs, the matrix of what each method can take, grids, their order and their cost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from models.method import Ablation, Method, Recipe, Request, camera_path, image, number, slider, switch, text
from studio.compare import Axis, Brief, Costs, fits, make_plan, variants
from studio.compare.matrix import pair
from studio.compare.plan import METHOD, ONE, axis_fields, parse_axis
from studio.history import Entry, History
from studio.presets import Preset


@dataclass
class Words(Request):
    prompt: str = text("", required=True)
    idea: bool = switch(True, "")
    seed: int = number(42, "", minimum=0)
    num_inference_steps: int = slider(4, 1, 8, "")
    guidance_scale: float = slider(6.0, 1.0, 15.0, "")


@dataclass
class Portrait(Request):
    prompt: str = text("", required=True)
    face: Path | None = image("")
    seed: int = number(1, "", minimum=0)
    negative_prompt: str = text("", default="blurred")


@dataclass
class Rig(Request):
    prompt: str = text("", required=True)
    cameras: str = camera_path("circle", "")
    subject: Path | None = image("", required=False)
    seed: int = number(1, "", minimum=0)


@dataclass
class Nothing:
    pass


def preset_of(request: type[Request], name: str, values: dict[str, Any], ideas: tuple[Ablation, ...] = ()) -> Preset:
    recipe = Recipe(name, "nowhere:Nothing", ())
    method = Method(name, name.capitalize(), "", "", request, Nothing, lambda weights: recipe, ideas)
    return Preset("pocket", method.title, method, Nothing(), request(**values), Path("nowhere.yaml"))


@pytest.fixture
def face(tmp_path: Path) -> Path:
    path = tmp_path / "face.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n and more")
    return path


@pytest.fixture
def known(face: Path):
    idea = Ablation("idea", "The idea off", "", {"idea": False})
    presets = [
        preset_of(Words, "words", {"prompt": "old"}, (idea,)),
        preset_of(Portrait, "portrait", {"prompt": "old", "face": face}),
        preset_of(Rig, "rig", {"prompt": "old"}),
    ]
    return variants(presets)


@pytest.fixture
def costs(tmp_path: Path):
    history = History(tmp_path / "history.sqlite")
    yield Costs(history)
    history.close()


def here(preset: Preset) -> str:
    return ""


def plan_of(known, costs, brief, rows, columns=ONE, chosen="words/pocket", ready=here):
    return make_plan(brief, known, rows, columns, chosen, ready, costs)


def values_of(plan, *names: str) -> list[tuple]:
    return [tuple(getattr(cell.request, name) for name in names) for cell in plan.cells]


def test_every_method_is_there_whole_and_with_each_idea_off(known):
    assert list(known) == ["words/pocket", "words/pocket:idea", "portrait/pocket", "rig/pocket"]
    assert known["words/pocket:idea"].label == "Words, the idea off"
    assert pair(known, "words/pocket") == ("words/pocket", "words/pocket:idea")


def test_a_method_that_needs_a_person_says_so_and_can_when_there_is_one(known, face):
    without = fits(known.values(), Brief("a walk"), here)
    assert {key for key, fit in without.items() if not fit.possible} == {"portrait/pocket"}
    assert without["portrait/pocket"].reason == "Needs a picture of a person."
    with_face = fits(known.values(), Brief("a walk", person=face), here)
    assert all(fit.possible for fit in with_face.values())
    assert with_face["words/pocket"].ignores == ("a person",)
    assert with_face["portrait/pocket"].ignores == ()


def test_the_reason_of_absent_weights_comes_first(known):
    found = fits(known.values(), Brief("a walk"), lambda preset: f"No weights of {preset.title}.")
    assert found["portrait/pocket"].reason == "No weights of Portrait."


def test_a_brief_fills_the_fields_of_its_roles_and_leaves_the_others_to_the_preset(known, face):
    brief = Brief("a walk", seeds=(7,), person=face, cameras="orbit left")
    assert known["portrait/pocket"].request(brief) == Portrait("a walk", face, 7, "blurred")
    assert known["rig/pocket"].request(brief) == Rig("a walk", "orbit left", None, 7)
    assert known["words/pocket:idea"].request(brief).idea is False


def test_the_presets_own_face_is_never_used_for_a_brief_without_one(known):
    with pytest.raises(ValueError, match="missing"):
        known["portrait/pocket"].request(Brief("a walk"))


def test_a_picture_that_is_gone_is_a_reason(known, face):
    brief = Brief("a walk", person=face)
    face.unlink()
    assert "no file" in fits(known.values(), brief, here)["portrait/pocket"].reason


def test_methods_by_seeds_is_a_grid_in_which_each_cell_has_its_own_request(known, costs):
    rows = Axis(METHOD, ("words/pocket", "words/pocket:idea"))
    plan = plan_of(known, costs, Brief("a walk", seeds=(1, 2, 3)), rows)
    assert plan.rows == ("Words", "Words, the idea off")
    assert plan.columns == ("seed 1", "seed 2", "seed 3")
    assert values_of(plan, "seed", "idea") == [
        (1, True), (2, True), (3, True), (1, False), (2, False), (3, False),
    ]  # fmt: skip


def test_two_fields_make_a_grid_of_one_method(known, costs):
    steps, guidance = (parse_axis(*words, list(known.values())) for words in (
        ("num_inference_steps", "2, 4"), ("guidance_scale", "3,6.5")))  # fmt: skip
    plan = plan_of(known, costs, Brief("a walk"), steps, guidance)
    assert values_of(plan, "num_inference_steps", "guidance_scale") == [
        (2, 3), (2, 6.5), (4, 3), (4, 6.5),
    ]  # fmt: skip
    assert plan.cells[1].label == "Words · num inference steps 2 · guidance scale 6.5"


def test_a_cell_out_of_range_or_without_the_field_says_why_and_the_others_run(known, costs):
    rows = Axis(METHOD, ("words/pocket", "rig/pocket"))
    plan = plan_of(known, costs, Brief("a walk"), rows, parse_axis("num_inference_steps", "4, 99", [*known.values()]))
    reasons = [cell.reason for cell in plan.cells]
    assert reasons[0] == ""
    assert "between 1 and 8" in reasons[1]
    assert reasons[2] == "Rig has no num inference steps."
    assert len(plan.possible) == 1


def test_cells_that_share_weights_run_one_after_another(known, costs, face):
    rows = Axis("seed", (1, 2))
    columns = Axis(METHOD, ("words/pocket", "portrait/pocket", "words/pocket:idea"))
    plan = plan_of(known, costs, Brief("a walk", person=face), rows, columns)
    order = [cell.variant.preset.key for cell in plan.order()]
    assert order == ["words/pocket"] * 4 + ["portrait/pocket"] * 2
    assert [cell.row for cell in plan.order()][:4] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("brief", "rows", "columns", "told"),
    [
        (Brief("a", seeds=tuple(range(25))), Axis(METHOD, ("words/pocket",)), ONE, "25 videos; at most 24"),
        (Brief("a"), Axis("seed", (1,)), Axis("seed", (2,)), "the same thing"),
        (Brief("a"), Axis(METHOD, ()), ONE, "Tick at least one"),
        (Brief("a", seeds=(1, 2)), Axis(METHOD, ("words/pocket",)), Axis("guidance_scale", (1.0,)), "several seeds"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_in_words(known, costs, brief, rows, columns, told):
    with pytest.raises(ValueError, match=told):
        plan_of(known, costs, brief, rows, columns)


@pytest.mark.parametrize(
    ("name", "words", "values"),
    [
        ("seed", "1, 2,2 , 3", (1, 2, 3)),
        ("idea", "on, off", (True, False)),
        ("prompt", "a red ball, bouncing\na cube", ("a red ball, bouncing", "a cube")),
    ],
)
def test_values_are_typed_by_their_field(known, name, words, values):
    assert parse_axis(name, words, list(known.values())).values == values


def test_an_axis_without_values_or_of_no_method_is_refused(known):
    with pytest.raises(ValueError, match="no values"):
        parse_axis("seed", " , ", list(known.values()))
    with pytest.raises(ValueError, match="has a field"):
        parse_axis("wings", "2", list(known.values()))


def test_every_field_but_pictures_can_be_an_axis(known):
    assert set(axis_fields([known["portrait/pocket"]])) == {"prompt", "seed", "negative_prompt"}


def test_cost_is_unknown_at_first_then_scaled_from_what_was_alike(tmp_path):
    history = History(tmp_path / "h.sqlite")
    costs = Costs(history)
    asked = {"idea": True, "num_inference_steps": 8}
    assert costs.of("words/pocket", asked).seconds is None
    for index, (idea, seconds) in enumerate([(True, 2.0), (True, 2.2), (True, 9.0), (False, 50.0)]):
        request = {"idea": idea, "num_inference_steps": 4}
        history.adopt(
            Entry(str(index), "me", "words/pocket", "words", request, time.time(), "finished", seconds=seconds)
        )
    assert costs.of("words/pocket", asked).seconds == pytest.approx(4.4)  # the median, twice the steps
    assert costs.of("words/pocket", asked | {"idea": False}).seconds == pytest.approx(100)
    assert costs.of("rig/pocket", asked).seconds is None
    history.close()
