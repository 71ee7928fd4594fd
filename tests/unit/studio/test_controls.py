"""What a form's components hold, as a request."""

from __future__ import annotations

import gradio as gr
import pytest

from studio.ui.controls import Form


@pytest.fixture
def form(preset):
    with gr.Blocks(analytics_enabled=False):
        made = Form(preset.method, preset.request)
        made.draw(*made.fields)
    return made


def held(form: Form, **values):
    """As browsers send it: every number a float."""
    shown = {name: getattr(form.start, name) for name in form.fields} | values
    return form.values([shown[name] for name in form.fields])


def test_a_whole_number_may_come_as_a_float(form):
    asked = form.request(held(form, seed=9.0, num_inference_steps=3.0))
    assert (asked.seed, asked.num_inference_steps) == (9, 3) and type(asked.seed) is int


@pytest.mark.parametrize("name", ["seed", "num_inference_steps"])
def test_a_fraction_is_not_rounded_in_silence(form, name):
    component = form.components[name]
    with pytest.raises(ValueError, match=r"must be a whole number, got 1\.5"):
        form.request(held(form, **{name: component.preprocess(1.5)}))


def test_the_components_are_listed_in_the_order_of_the_fields(form):
    assert form.inputs == [form.components[name] for name in form.fields]


def narrowed(preset, **choices) -> Form:
    with gr.Blocks(analytics_enabled=False):
        made = Form(preset.method, preset.request, choices)
        made.draw(*made.fields)
    return made


def test_a_number_of_which_the_weights_know_one_is_not_asked_for(preset):
    form = narrowed(preset, num_frames=(8,))
    frames = form.components["num_frames"]
    assert frames.visible == "hidden"
    assert form.components["seed"] in form.fill({"seed": 3, "num_frames": 12})
    assert frames not in form.fill({"seed": 3, "num_frames": 12}), "nobody could change it back"


def test_a_number_of_which_the_weights_know_a_few_is_chosen_among_them(preset):
    form = narrowed(preset, num_frames=(8, 12))
    frames = form.components["num_frames"]
    assert isinstance(frames, gr.Radio) and [value for _, value in frames.choices] == [8, 12]
    assert form.fill({"num_frames": 12}) == {frames: 12}
    assert form.fill({"num_frames": 9}) == {}
    assert vars(form.request(held(form, num_frames=frames.preprocess(12))))["num_frames"] == 12
