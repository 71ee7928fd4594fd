"""Values that are taken at once are those that OmegaConf would make of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio import typed as module
from studio.presets import load_presets, request_with
from studio.typed import _converted, typed


@dataclass
class Everything:
    """Every kind of field that requests, weights and settings have."""

    words: str
    count: int = 1
    share: float = 0.5
    on: bool = False
    kind: Literal["a", "b"] = "a"
    picture: Path | None = None
    folder: Path = Path()
    sizes: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    frames: list[int] = field(default_factory=lambda: [49])
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.count == 13:
            raise ValueError("Count must not be 13.")


NAMES = tuple(Everything.__dataclass_fields__)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5),
    st.sampled_from(["a", "b", "7", "-0", "007", "1e3", "${oc.env:HOME}", "???", "\\???", "yes", "/tmp/x", 13, 2**63]),
    st.lists(st.one_of(st.integers(), st.text(max_size=2)), max_size=3),
)  # fmt: skip


def outcome(build: Any, values: dict[str, Any]) -> Any:
    try:
        made = build(Everything, values)
    except ValueError as error:
        return str(error)
    found = [getattr(made, name) for name in NAMES]
    return [(str if isinstance(value, str) else type(value), value) for value in found]


@settings(deadline=None, max_examples=200)
@given(values=st.fixed_dictionaries({"words": VALUES}, optional=dict.fromkeys(NAMES[1:], VALUES)))
def test_both_ways_give_the_same(values):
    assert outcome(typed, values) == outcome(_converted, values)


def test_a_field_that_is_missing_is_named():
    with pytest.raises(ValueError, match="words"):
        typed(Everything, {"count": 2})


def test_the_page_opens_without_omegaconf(monkeypatch):
    """It takes a hundred times longer, for each of some hundred requests that a page is built of."""

    def refuse(*_: Any) -> None:
        raise AssertionError("converted")

    monkeypatch.setattr(module, "_converted", refuse)
    for preset in load_presets().values():
        assert request_with(preset.request, {}) == preset.request
