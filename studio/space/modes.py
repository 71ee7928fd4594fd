"""The ways to share a studio as a Space: hardware, settings and library versions of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from studio.presets import did_you_mean

# ZeroGPU runs these versions only; the Hub's documentation of Spaces, August 2026.
ZEROGPU_TORCH = ("2.8.0", "2.9.1", "2.10.0", "2.11.0")
ZEROGPU_PYTHON = "3.12.12"


@dataclass(frozen=True)
class Mode:
    """`variables` are set on the Space; `torch` and `python`, where named, replace the studio's own versions."""

    name: str
    what: str
    sdk: str = "gradio"
    hardware: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    torch: str = ""
    python: str = ""


MODES = {
    mode.name: mode
    for mode in (
        Mode("static", "recorded comparisons as a page: no Python, no queue, free", sdk="static"),
        Mode("cpu", "pocket weights on two CPU cores", hardware="cpu-basic", variables={"QUINTET_THREADS": "2"}),
        Mode(
            "zerogpu", "a GPU lent by the call; what is offered is placed in memory at start", hardware="zero-a10g",
            variables={"QUINTET_EXECUTOR": "zerogpu"}, torch=ZEROGPU_TORCH[-1], python=ZEROGPU_PYTHON,
        ),
        Mode("gpu", "a GPU of your own, full weights", hardware="l40sx1"),
    )
}  # fmt: skip


def mode_named(name: str) -> Mode:
    """ValueError lists what there is."""
    if name not in MODES:
        raise ValueError(f"There is no mode {name!r}. {did_you_mean(name, MODES)}")
    return MODES[name]
