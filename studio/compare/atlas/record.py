"""One recorded comparison, and the file that holds all of them: docs/atlas/atlas.json beside its clips."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from models.method import REPOSITORY
from studio.compare.brief import Brief
from studio.compare.numbers import ClipScores
from studio.compare.record import CellState, Comparison, comparison_from
from studio.metrics.score import Score

ATLAS = REPOSITORY / "docs" / "atlas"
INDEX, FORMAT = "atlas.json", 1
DIGITS = 4  # of a score and its curve; more are not read, and there are many
TOLD = ("metric", "clip")  # of a score, by its place


@dataclass(frozen=True)
class Recording:
    """A comparison of the atlas. `scores`: of every cell, of each of its clips; `recorded` is a day, 2026-11-21."""

    comparison: Comparison
    brief: Brief
    states: tuple[CellState, ...]
    scores: tuple[list[ClipScores], ...]
    recorded: str
    machine: str

    @property
    def id(self) -> str:
        return self.comparison.id

    @property
    def keys(self) -> list[str]:
        """The variants side by side."""
        return [member.variant for member in self.comparison.members]

    @property
    def day(self) -> str:
        """21 November 2026."""
        day = time.strptime(self.recorded, "%Y-%m-%d")
        return f"{day.tm_mday} {time.strftime('%B %Y', day)}"

    @property
    def whole(self) -> bool:
        return all(path.is_file() for state in self.states for path in state.paths)


def read(folder: Path = ATLAS) -> list[Recording]:
    """Those of which every clip is there; none where there is no atlas. ValueError when its index is damaged."""
    file = folder / INDEX
    if not file.is_file():
        return []
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}")
        found = [_recording(values, folder) for values in content["recordings"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is no index of recorded comparisons: {error}.") from error
    return [recording for recording in found if recording.whole]


def write(recordings: Iterable[Recording], folder: Path = ATLAS) -> None:
    """Written beside, then renamed."""
    content = {"studio": "quintet", "format": FORMAT, "recordings": [_values(each) for each in recordings]}
    beside = folder / f".{INDEX}-{secrets.token_hex(4)}"
    beside.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    beside.replace(folder / INDEX)


def short(score: Score) -> Score:
    """As the atlas keeps it: few digits."""
    return replace(score, curve=tuple(map(_rounded, score.curve)), value=_rounded(score.value))


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def _values(recording: Recording) -> dict[str, Any]:
    cells = []
    for state, clips in zip(recording.states, recording.scores, strict=True):
        names, scores = [path.name for path in state.paths], [_kept(each) for each in clips]
        cells.append({"clips": names, "seconds": state.seconds, "scores": scores})
    brief = {name: value for name, value in asdict(recording.brief).items() if value}
    for name in ("person", "subject"):
        if name in brief:
            brief[name] = Path(brief[name]).resolve().relative_to(REPOSITORY).as_posix()
    head = {"recorded": recording.recorded, "machine": recording.machine, "brief": brief}
    return head | {"comparison": asdict(recording.comparison), "cells": cells}


def _kept(scores: ClipScores) -> dict[str, dict[str, Any]]:
    """By metric; what is empty, or told elsewhere, is left out."""
    return {
        name: {key: value for key, value in asdict(score).items() if key not in TOLD and value not in ("", None, ())}
        for name, score in scores.items()
    }


def _recording(values: Mapping[str, Any], folder: Path) -> Recording:
    comparison = comparison_from(values["comparison"])
    brief: dict[str, Any] = dict(values["brief"])
    for name in ("person", "subject"):
        if name in brief:
            brief[name] = REPOSITORY / brief[name]
    brief["seeds"] = tuple(brief["seeds"])
    states, scores = [], []
    for member, cell in zip(comparison.members, values["cells"], strict=True):
        paths = tuple(folder / Path(str(name)).name for name in cell["clips"])
        states.append(CellState(member, "finished", "", None, paths, None, cell["seconds"]))
        scores.append([{name: _score(name, kept) for name, kept in clip.items()} for clip in cell["scores"]])
    return Recording(
        comparison, Brief(**brief), tuple(states), tuple(scores),
        str(values["recorded"]), str(values["machine"]),
    )  # fmt: skip


def _score(name: str, kept: Mapping[str, Any]) -> Score:
    given: dict[str, Any] = {"clip": "", "value": None} | dict(kept) | {"curve": tuple(kept.get("curve", ()))}
    return Score(name, **given)
