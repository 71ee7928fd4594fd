"""The strip of recorded examples under a tab: a click fills the form and plays the recording at once."""

from __future__ import annotations

from html import escape

from models.method import Method, Request
from studio.events import request_values
from studio.presets import Example, Preset
from studio.ui import stage
from studio.ui.cards import thumbnail
from studio.ui.media import file_url
from studio.ui.moments import READY, recorded
from studio.ui.stage import Moment


def example_cards(preset: Preset) -> str:
    cards = "".join(_card(index, example) for index, example in enumerate(preset.examples))
    heading = '<h2 class="q-heading">Examples</h2>'
    return f'<section aria-label="Examples">{heading}<div class="q-examples">{cards}</div></section>'


def opening(preset: Preset) -> Moment:
    """What a tab shows before anything was asked: the first recording, else an invitation."""
    example = _first_recorded(preset)
    return READY if example is None else shown(preset.method, example)


def opening_request(preset: Preset) -> Request:
    """What the form holds at first: the settings of what is playing."""
    example = _first_recorded(preset)
    return preset.request if example is None else example.request


def shown(method: Method, example: Example) -> Moment:
    if not example.videos:
        return Moment("idle", stage.words("Not recorded", "Press Generate to make this one."))
    return recorded(method, example.videos, None, request_values(example.request), None, badge="Recorded")


def example_named(preset: Preset, id: object) -> Example | None:
    """The example a click names; None for anything the page did not draw."""
    known = {str(index): example for index, example in enumerate(preset.examples)}
    return known.get(str(id))


def _first_recorded(preset: Preset) -> Example | None:
    return next((example for example in preset.examples if example.videos), None)


def _card(index: int, example: Example) -> str:
    title = example.title or str(getattr(example.request, "prompt", "Example"))
    picture = thumbnail(file_url(example.videos[0]) if example.videos else None)
    return (
        f'<button type="button" class="q-card" data-action="example" data-id="{index}">'
        f"{picture}<span>{escape(title)}</span></button>"
    )
