"""The frame-locked player: two to six clips on one bar, as a custom element that any page can hold.

`draw` gives its HTML; a page that shows one loads `head()` once. It needs no server but for the clips themselves.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

from studio.ui.media import file_url
from studio.ui.player.epipolar import epipolar_links
from studio.ui.player.length import clip_length

HERE = Path(__file__).parent
PARTS = ("timeline", "frames", "surface", "curves", "epipolar", "markup", "input", "paint", "player", "cameras")
ELEMENTS = (("quintet-player", "QuintetPlayer"), ("quintet-cameras", "QuintetCameras"))
MOST_CLIPS = 6
Mode = Literal["side", "wipe", "overlay", "difference", "single"]
Align = Literal["seconds", "progress"]


@dataclass(frozen=True)
class Curve:
    """One value per frame and clip. `values` follows the clips; None where a clip has none. `low` and `high` span the
    drawing; `help` says range and direction in a few words."""

    title: str
    low: float
    high: float
    values: tuple[tuple[float | None, ...] | None, ...]
    help: str = ""
    digits: int = 2


@dataclass(frozen=True)
class Options:
    """How a player opens. `facts`: a quiet line per clip; `name`: what a screen reader calls the player."""

    facts: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()
    mode: Mode = "side"
    align: Align = "seconds"
    play: bool = True
    name: str = "Comparison"


def draw(
    clips: Sequence[Path],
    labels: Sequence[str],
    options: Options = Options(),
    address: Callable[[Path], str | None] = file_url,
) -> str:
    """HTML of a player over these files. A file that is gone is named in words; ValueError for more than six clips."""
    data, gone = contents(clips, labels, options, address)
    remark = f'<p class="q-told">Moved or deleted: {escape(", ".join(gone))}.</p>' if gone else ""
    entries = data["clips"]
    if not entries:
        return remark
    links = "".join(f'<a href="{escape(entry["address"])}">{escape(entry["label"])}</a> ' for entry in entries)
    text = json.dumps(data, ensure_ascii=False)
    return f'<quintet-player data-clips="{escape(text)}">{links}</quintet-player>{remark}'


def contents(
    clips: Sequence[Path], labels: Sequence[str], options: Options, address: Callable[[Path], str | None] = file_url
) -> tuple[dict[str, Any], list[str]]:
    """What a player is given as `data-clips`, and the labels of the files that are gone."""
    if len(clips) != len(labels):
        raise ValueError(f"Every clip needs a label: got {len(clips)} clips and {len(labels)} labels.")
    if len(clips) > MOST_CLIPS:
        raise ValueError(f"A player shows at most {MOST_CLIPS} clips, got {len(clips)}.")
    facts = [*options.facts, *[""] * (len(clips) - len(options.facts))]
    found = [(index, address(path)) for index, path in enumerate(clips)]
    shown = [(index, url) for index, url in found if url]
    entries = []
    for index, url in shown:
        frames, fps = clip_length(clips[index])
        entry = {"address": url, "label": labels[index], "facts": facts[index], "frames": frames, "fps": fps}
        entries.append(entry)
    kept = [index for index, _ in shown]
    curves = [asdict(curve) | {"values": [curve.values[index] for index in kept]} for curve in options.curves]
    data: dict[str, Any] = {"clips": entries, "curves": curves, "mode": options.mode, "align": options.align}
    if related := epipolar_links([clips[index] for index in kept]):
        data["epipolar"] = related
    return data | {"play": options.play, "name": options.name}, [labels[index] for index, url in found if not url]


@functools.cache
def script() -> str:
    """The elements' program with its style inside, for one <script type="module">."""
    style = json.dumps((HERE / "player.css").read_text(encoding="utf-8"))
    parts = [(HERE / f"{name}.js").read_text(encoding="utf-8") for name in PARTS]
    define = [f'if (!customElements.get("{tag}")) customElements.define("{tag}", {name});' for tag, name in ELEMENTS]
    return "\n".join([f"const STYLE = {style};", *parts, *define])


def head() -> str:
    """What a page's <head> needs."""
    return f'<script type="module">{script()}</script>'
