"""The pictures that a comparison was given, to stand beside its prompt: its numbers speak of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

from models.method import REPOSITORY, label_of, request_fields
from studio.compare import Comparison
from studio.events import shipped_name
from studio.presets import Preset

Address = Callable[[Path], str | None]


def pictures(comparison: Comparison, presets: Mapping[str, Preset]) -> dict[str, Path]:
    """By label, those of the studio's own that its requests name; a kept request names nobody else's."""
    found: dict[str, Path] = {}
    for member in comparison.members:
        preset = presets.get(member.preset)
        for name, info in request_fields(preset.method.request).items() if preset else ():
            place = str(member.request.get(name) or "")
            if info.kind == "image" and place and shipped_name(REPOSITORY / place) == place:
                found[label_of(name, info)] = REPOSITORY / place
    return found


def draw(given: Mapping[str, Path], address: Address) -> str:
    """HTML; `address` is where a browser finds a picture, None for one that is gone."""
    found = ((label, address(path)) for label, path in given.items())
    return "".join(f'<img src="{escape(place)}" alt="{escape(label)}">' for label, place in found if place)
