"""What the page computes for an answer and keeps for a visitor, beside what Gradio itself would."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import gradio as gr
import pytest
from gradio.state_holder import SessionState
from hypothesis import given
from hypothesis import strategies as st

from studio.ui.page import Page

VALUES: dict[str, Any] = {
    "text": "a fox",
    "number": gr.update(value=3, label="How many"),
    "button": gr.update(interactive=False),
    "state": {"kept": 1},
}


def drawn(kind: type[gr.Blocks]) -> tuple[gr.Blocks, dict[str, Any]]:
    """A page with one handler over a component of each kind."""
    with kind(analytics_enabled=False) as page:
        parts = {"text": gr.Textbox("a hare"), "number": gr.Number(1), "button": gr.Button("Go"), "state": gr.State(0)}
        parts["button"].click(lambda: None, None, list(parts.values()))
    return page, parts


OURS, THEIRS = drawn(Page), drawn(gr.Blocks)


def answer(made: tuple[gr.Blocks, dict[str, Any]], names: list[str], state: SessionState | None = None) -> list[Any]:
    page, parts = made
    predictions = {parts[name]: copy.deepcopy(VALUES[name]) for name in names}  # Gradio takes updates apart
    (handler,) = page.fns.values()
    return asyncio.run(page.postprocess_data(handler, predictions, state or SessionState(page)))


@given(st.lists(st.sampled_from(list(VALUES)), min_size=1, unique=True))
def test_a_visitor_is_sent_what_gradio_would_send(names):
    assert answer(OURS, names) == answer(THEIRS, names)


def test_what_a_handler_left_out_is_not_built_again():
    for (page, parts), built in ((OURS, False), (THEIRS, True)):  # theirs: or this page is no longer needed
        visitors = SessionState(page)
        answer((page, parts), ["text", "state"], visitors)
        assert (visitors[parts["number"]._id] is not parts["number"]) == built
        assert visitors[parts["state"]._id] == {"kept": 1}


def test_a_component_that_is_no_output_is_refused():
    page, parts = OURS
    stranger = gr.Textbox(render=False)
    (handler,) = page.fns.values()
    with pytest.raises(ValueError, match="not specified as output"):
        asyncio.run(page.postprocess_data(handler, {parts["text"]: "a", stranger: "b"}, SessionState(page)))


def test_a_visitor_is_kept_without_a_description_of_the_page():
    visitors = SessionState(OURS[0])
    answer(OURS, list(VALUES), visitors)
    assert list(visitors.components) == []
    assert list(SessionState(THEIRS[0]).components)
    assert not visitors[OURS[1]["button"]._id].interactive
    assert OURS[1]["button"].interactive
