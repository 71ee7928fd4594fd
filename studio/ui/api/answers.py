"""What the endpoints answer with. The types are the documentation: clients and the schema are made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from gradio import FileData

from models.method import request_fields
from studio.compare import CellState, Comparison
from studio.compare.numbers import ClipScores
from studio.events import Failed, Finished, Progress, Waiting, request_values
from studio.jobs import Job
from studio.metrics import METRICS
from studio.presets import Preset
from studio.provenance import Findings
from studio.provenance.report import lines, summary
from studio.ui import own_pictures
from studio.ui.media import cached


class Field(TypedDict):
    """One setting of a preset: what kind of value, what it starts with, what is allowed."""

    name: str
    kind: str
    help: str
    start: Any
    minimum: float | None
    maximum: float | None
    choices: list[str]


class Offer(TypedDict):
    """A preset and whether it can run here; `reason` says why not."""

    preset: str
    title: str
    ready: bool
    reason: str
    ideas: list[str]
    fields: list[Field]


class Made(TypedDict):
    """A job as it stands. `state`: waiting, running, finished, failed, stopped; `ahead`: jobs before it."""

    state: str
    message: str
    stage: str
    step: int
    steps: int
    ahead: int
    seconds_left: float | None
    seconds: float | None
    job: str
    visitor: str
    settings: dict[str, Any]
    videos: list[FileData]


class Cell(TypedDict):
    """One video of a comparison."""

    label: str
    method: str
    state: str
    message: str
    seconds: float | None
    settings: dict[str, Any]
    videos: list[FileData]


class Compared(TypedDict):
    """A comparison as it stands, row by row."""

    visitor: str
    title: str
    rows: list[str]
    columns: list[str]
    cells: list[Cell]


class Number(TypedDict):
    """One metric of one clip. Without a `value`, `reason` says why; `word` is poor, fair or good; `curve` by frame."""

    metric: str
    title: str
    unit: str
    better: str
    value: float | None
    word: str
    reason: str
    note: str
    curve: list[float | None]


class Measured(TypedDict):
    """The numbers of each clip, in the order given."""

    clips: list[list[Number]]


class Mark(TypedDict):
    """One mark that was looked for, what was found, and what that proves."""

    mark: str
    found: str
    proves: str


class Inspected(TypedDict):
    """Which marks a file carries; `settings` are the studio's own, or null."""

    summary: str
    generated: bool
    marks: list[Mark]
    settings: dict[str, Any] | None


class Forgotten(TypedDict):
    """What of a visitor's pictures was deleted, and what could not be."""

    summary: str
    deleted: dict[str, int]
    stopped: int
    left: list[str]


def offer(preset: Preset, reason: str) -> Offer:
    fields = [
        Field(
            name=name, kind=info.kind, help=info.help, start=start, minimum=info.minimum, maximum=info.maximum,
            choices=list(info.choices),
        )
        for name, info in request_fields(preset.method.request).items()
        for start in [None if info.kind == "image" else getattr(preset.request, name)]
    ]  # fmt: skip
    ideas = [f"{preset.key}:{idea.name}" for idea in preset.method.ablations]
    return Offer(preset=preset.key, title=preset.title, ready=not reason, reason=reason, ideas=ideas, fields=fields)


def made(job: Job) -> Made:
    """The job by its latest event."""
    event = job.latest
    progress = event if isinstance(event, Progress) else Progress("")
    return Made(
        state=job.state,
        message=f"{event.message} {event.advice}".strip() if isinstance(event, Failed) else "",
        stage=progress.stage,
        step=progress.index,
        steps=progress.total,
        ahead=event.position if isinstance(event, Waiting) else 0,
        seconds_left=progress.seconds_left,
        seconds=event.seconds if isinstance(event, Finished) else None,
        job=job.id,
        visitor=job.owner,
        settings=_settings(request_values(job.request), type(job.request)),
        videos=files(event.paths) if isinstance(event, Finished) else [],
    )


def compared(comparison: Comparison, states: Sequence[CellState], owner: str) -> Compared:
    cells = [
        Cell(
            label=state.member.label,
            method=state.member.variant,
            state=state.state,
            message=state.message,
            seconds=state.seconds,
            settings=state.member.request,
            videos=files(state.paths),
        )
        for state in states
    ]
    return Compared(
        visitor=owner, title=comparison.title, rows=list(comparison.rows), columns=list(comparison.columns),
        cells=cells,
    )  # fmt: skip


def measured(clips: Sequence[ClipScores]) -> Measured:
    return Measured(clips=[[_number(clip, name) for name in METRICS if name in clip] for clip in clips])


def inspected(findings: Findings) -> Inspected:
    marks = [Mark(mark=mark, found=found, proves=proves) for mark, found, proves in lines(findings)]
    return Inspected(summary=summary(findings), generated=findings.generated, marks=marks, settings=findings.settings)


def forgotten(found: own_pictures.Forgotten) -> Forgotten:
    return Forgotten(summary=found.words, deleted=dict(found.deleted), stopped=found.stopped, left=list(found.left))


def files(paths: Sequence[Path]) -> list[FileData]:
    """Copies in Gradio's cache, from where a client may load them; those that are gone are left out.

    As plain values: Gradio gives an address to those alone.
    """
    copies = [(path, cached(path)) for path in paths]
    return [FileData(path=copy, orig_name=path.name).model_dump() for path, copy in copies if copy]  # type: ignore[misc]


def _settings(values: Mapping[str, Any], request: type) -> dict[str, Any]:
    """Without pictures, whose values are paths of this machine."""
    pictures = {name for name, info in request_fields(request).items() if info.kind == "image"}
    return {name: value for name, value in values.items() if name not in pictures}


def _number(clip: ClipScores, name: str) -> Number:
    metric, score = METRICS[name], clip[name]
    return Number(
        metric=name, title=metric.title, unit=metric.unit, better=metric.better, value=score.value, word=score.word,
        reason=score.reason, note=score.note, curve=list(score.curve),
    )  # fmt: skip
