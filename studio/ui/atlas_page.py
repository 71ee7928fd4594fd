"""docs/index.html: the recorded atlas as one page that needs neither server nor network, its clips beside it."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from models.method import Ablation
from studio.compare.atlas import Recording
from studio.metrics import METRICS
from studio.outputs import encode_webp
from studio.presets import Preset
from studio.ui import compare_numbers, offline, player
from studio.ui.compare_numbers import CURVES
from studio.ui.moments import clip_names, facts

HERE = Path(__file__).parent
# A curve that a method's idea is about comes before those that every method has.
OPENS_WITH = sorted(CURVES.values(), key=lambda name: name not in ("identity", "subject"))
REFERENCE_SIDE = 96  # pixels of a shown picture of a person or subject
TITLE, LINE = "Quintet", "Five video-diffusion methods, each with its idea on and off, frame by frame."
ABOUT = (
    "Every clip here was <b>recorded</b>: made earlier, with the small weights that come with the studio (64 by 64 "
    "pixels, a small procedural world). Nothing is computed on this page. The studio makes the same comparisons, and "
    "yours, on two CPU cores. All clips are AI-generated and marked so."
)


def page(recordings: Sequence[Recording], presets: Mapping[str, Preset], folder: str) -> str:
    """HTML. `folder` is where the clips lie, seen from the page."""
    methods: dict[str, dict[str, Any]] = {}
    for recording in recordings:
        method = methods.setdefault(_method(recording), _about(recording, presets))
        brief = method["briefs"].setdefault(recording.brief.prompt, {"picture": _reference(recording), "seeds": {}})
        brief["seeds"][str(recording.brief.seeds[0])] = _described(recording, presets, folder)
        alike = [each for each in recordings if each.keys == recording.keys and _same_wish(each, recording)]
        brief["means"] = _means(alike)
    curves = [{"title": METRICS[name].title, **_same_everywhere(name)} for name in OPENS_WITH]
    heads = {metric.name: compare_numbers.heading(metric) for metric in METRICS.values()}
    content = {"methods": methods, "curves": curves, "heads": heads}
    style = offline.STYLE + (HERE / "atlas.css").read_text(encoding="utf-8")
    shell = (HERE / "atlas.html").read_text(encoding="utf-8")
    parts = {
        "title": TITLE, "line": LINE, "about": ABOUT, "style": style, "data": _packed(content),
        "player": player.head(), "script": (HERE / "atlas.js").read_text(encoding="utf-8"),
    }  # fmt: skip
    for name, text in parts.items():
        shell = shell.replace(f"<!--{name}-->", text)
    return shell


def _packed(content: Any) -> str:
    """JSON at a fifth of its bytes: the tree of this repository is small."""
    return base64.b64encode(gzip.compress(json.dumps(content, ensure_ascii=False).encode(), mtime=0)).decode("ascii")


def _same_wish(one: Recording, other: Recording) -> bool:
    return replace(one.brief, seeds=(0,)) == replace(other.brief, seeds=(0,))


def _means(recordings: Sequence[Recording]) -> str:
    """A table over the seeds of one wish; "" for a single seed."""
    rows, places, scores = [state.member.label for state in recordings[0].states], [], []
    for recording in recordings:
        for row, measured in enumerate(recording.scores):
            places += [row] * len(measured)
            scores += measured
    return compare_numbers.by_seed(rows, places, scores) if len(recordings) > 1 else ""


def _method(recording: Recording) -> str:
    return recording.comparison.members[0].preset


def _about(recording: Recording, presets: Mapping[str, Preset]) -> dict[str, Any]:
    """What stands above a method's clips; a method that is gone keeps its recordings."""
    preset = presets.get(_method(recording))
    title = preset.title if preset else _method(recording)
    idea = _idea(recording, preset)
    paper = preset.method.paper if preset else ""
    return {
        "title": title, "summary": preset.method.summary if preset else "", "paper": paper,
        "idea": f"{idea.label}: {idea.help}" if idea else "", "briefs": {},
    }  # fmt: skip


def _idea(recording: Recording, preset: Preset | None) -> Ablation | None:
    off = {key.partition(":")[2] for key in recording.keys}
    return next((idea for idea in (preset.method.ablations if preset else ()) if idea.name in off), None)


def _described(recording: Recording, presets: Mapping[str, Preset], folder: str) -> dict[str, Any]:
    """One comparison, drawn as far as Python draws it; the script puts the parts in their places."""
    preset = presets.get(_method(recording))
    paths, labels, lines, scores = [], [], [], []
    for state, measured in zip(recording.states, recording.scores, strict=True):
        names = clip_names(state.paths) if len(state.paths) > 1 else [""]
        line = facts(preset.method if preset else None, state.member.request, state.seconds)
        paths += state.paths
        labels += [" · ".join(filter(None, (state.member.label, name))) for name in names]
        lines += [line] * len(state.paths)
        scores += measured
    found = [compare_numbers.curve_of(METRICS[name], scores) for name in CURVES.values()]
    options = player.Options(tuple(lines), tuple(filter(None, found)), name=f"Recorded: {recording.brief.prompt}")
    told, _ = player.contents(paths, labels, options, lambda path: quote(f"{folder}/{path.name}"))
    told["curves"] = [{name: curve[name] for name in ("title", "low", "high", "values")} for curve in told["curves"]]
    cells, absent = compare_numbers.parts(scores)
    return {
        "id": recording.id, "recorded": recording.day, "machine": recording.machine, "player": told,
        "cells": cells, "absent": absent, "settings": _settings(recording),
    }  # fmt: skip


def _settings(recording: Recording) -> str:
    """A definition list per side; what both sides share is told once."""
    requests = [member.request for member in recording.comparison.members]
    same = {name for name in requests[0] if all(each.get(name) == requests[0][name] for each in requests)}
    sides = [("All", {name: requests[0][name] for name in requests[0] if name in same and name != "prompt"})]
    sides += [
        (member.label, {name: value for name, value in member.request.items() if name not in same})
        for member in recording.comparison.members
    ]
    return "".join(f"<h3>{escape(label)}</h3><dl>{_terms(values)}</dl>" for label, values in sides if values)


def _terms(values: Mapping[str, Any]) -> str:
    told = {name: Path(value).name if name in ("face", "reference") else value for name, value in values.items()}
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(str(value)) or '–'}</dd></div>" for name, value in told.items()
    )


def _reference(recording: Recording) -> str:
    """The picture that was given, small, inside the page; "" where there was none."""
    import numpy as np
    from PIL import Image

    from models.common.pictures import read_picture

    path = recording.brief.person or recording.brief.subject
    if path is None or not path.is_file():
        return ""
    picture = Image.fromarray(read_picture(path))
    picture.thumbnail((REFERENCE_SIDE, REFERENCE_SIDE))
    return "data:image/webp;base64," + base64.b64encode(encode_webp(np.array(picture))).decode("ascii")


def _same_everywhere(name: str) -> dict[str, Any]:
    """What a metric's curves share in all recordings, told once."""
    metric = METRICS[name]
    beside = METRICS[metric.beside].title if metric.beside else ""
    return {"beside": beside, "help": compare_numbers.span_of(metric), "digits": player.Curve.digits}
