"""A job's events told in words and pictures: Event -> Moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.method import Method
from studio.events import (
    TERMINAL,
    Event,
    Failed,
    Finished,
    Loading,
    Progress,
    Started,
    Stopped,
    Waiting,
    request_values,
)
from studio.jobs import Job
from studio.ui import player, stage
from studio.ui.media import data_uri, file_url
from studio.ui.stage import Moment

READY = Moment(
    state="idle",
    screen=stage.words("Nothing here yet", "Press Generate and watch the video appear step by step."),
)
STAGES = {"encode": "Reading the prompt", "denoise": "", "decode": "Drawing the frames", "save": "Saving"}
MEGABYTE = 1_000_000
GLANCE_SECONDS = 0.1
FIRST_TAKES_LONGER = "the first video takes a little longer"


def follow(method: Method, job: Job) -> Iterator[Moment]:
    """Where the job is at this moment, then whenever that changes, until its last event.

    A page that is slow, or came late, is not told what is past. What comes faster than anybody reads is left out: it
    would keep a browser busy, and with a crowd this process.
    """
    moment, told = Moment("running", stage.words("Starting")), None
    for event in job.events(apart=GLANCE_SECONDS):
        moment = tell(method, event, moment, job)
        if moment != told and (event is job.latest or isinstance(event, TERMINAL)):
            yield moment
            told = moment


def tell(method: Method, event: Event, before: Moment, job: Job) -> Moment:
    """The moment after `event`; a picture seen before it stays until there is a better one."""
    if isinstance(event, Waiting):
        return _words_or_picture(
            before, "Waiting", f"{event.position} ahead of you" if event.position else "Next in line"
        )
    if isinstance(event, Loading):
        return _loading(event, before)
    if isinstance(event, Started):
        return _words_or_picture(before, "Starting", FIRST_TAKES_LONGER)
    if isinstance(event, Progress):
        return _progress(event, before)
    if isinstance(event, Finished):
        return recorded(method, event.paths, event.poster, request_values(job.request), event.seconds)
    if isinstance(event, Stopped):
        shown = before.screen if "q-picture" in before.screen else stage.words("Stopped", "Nothing was saved.")
        return Moment("stopped", shown, line="Stopped. Nothing was saved.", said="Stopped.")
    assert isinstance(event, Failed)
    return failed(event.message, event.advice)


def recorded(
    method: Method,
    paths: tuple[Path, ...],
    poster: Path | None,
    request: dict[str, Any],
    seconds: float | None,
    badge: str = "",
) -> Moment:
    """A finished clip with the settings that made it."""
    addresses = [address for address in map(file_url, paths) if address]
    if not addresses:
        return failed("The video file was moved or deleted.", "Generate it again with the same settings and seed.")
    prompt = str(request.get("prompt", ""))
    return Moment(
        "done",
        _screen(paths, addresses, f"Video: {prompt}", poster),
        line=facts(method, request, seconds),
        badge=badge,
        said=f"Video ready after {seconds:.1f} seconds." if seconds is not None and not badge else "",
        download=addresses[0],
    )


def _screen(paths: tuple[Path, ...], addresses: list[str], description: str, poster: Path | None) -> str:
    """One clip plays by itself; the clips of one scene play in lock."""
    if len(addresses) == 1:
        return stage.clip(addresses[0], description, file_url(poster))
    return player.draw(paths, clip_names(paths), player.Options(name=description))


def clip_names(paths: tuple[Path, ...]) -> list[str]:
    """What tells several clips of one job apart: the last word of their file names, see `outputs`."""
    return [path.stem.rpartition("-")[2].capitalize() for path in paths]


def failed(message: str, advice: str = "") -> Moment:
    return Moment("failed", stage.words("No video", message, advice), said=f"No video. {message} {advice}".strip())


def facts(method: Method | None, request: dict[str, Any], seconds: float | None) -> str:
    """The settings worth reading at a glance: 'Seed 42 · 25 steps · feature cache off · 6.2 s'."""
    parts = [f"Seed {request['seed']}"] if "seed" in request else []
    off = [idea for idea in (method.ablations if method else ()) if idea.off.items() <= request.items()]
    steps = request.get(next((idea.steps for idea in off if idea.steps), "num_inference_steps"))
    if steps is not None:
        parts.append(f"{steps} step{'' if steps == 1 else 's'}")
    parts += [f"{idea.label.lower().removesuffix(' off')} off" for idea in off]
    if seconds is not None:
        parts.append(f"{seconds:.1f} s")
    return " · ".join(parts)


def time_left(seconds: float | None) -> str:
    """A rounded guess that does not flicker: by the second under ten, by five to a minute, then by the minute."""
    if seconds is None:
        return ""
    if seconds < 1:
        return "almost done"
    if seconds < 10:
        return f"about {seconds:.0f} s left"
    if seconds < 60:
        return f"about {5 * round(seconds / 5)} s left"
    return f"about {round(seconds / 60)} min left"


def _loading(event: Loading, before: Moment) -> Moment:
    if not event.total_bytes:
        return _words_or_picture(before, event.stage, FIRST_TAKES_LONGER)
    done, total = event.done_bytes / MEGABYTE, event.total_bytes / MEGABYTE
    line = f"Loading {event.stage.replace('_', ' ')}"
    return _words_or_picture(before, line, f"{done:.1f} of {total:.1f} MB", done / total)


def _progress(event: Progress, before: Moment) -> Moment:
    counted = f"Step {event.index} of {event.total}" if event.total > 1 else ""
    line = STAGES.get(event.stage, event.stage.capitalize()) or counted
    fraction = event.index / event.total if event.total > 1 else None
    screen = stage.picture(data_uri(event.preview), f"Preview, {line}") if event.preview else before.screen
    quarter = 4 * event.index // event.total if event.total > 1 else 0
    said = f"{25 * quarter} percent done" if quarter and event.stage == "denoise" else before.said
    if event.stage == "decode":
        fraction, said = 1.0, "Drawing the frames"
    aside = time_left(event.seconds_left)
    return Moment(
        "running", screen, line, aside, fraction, badge="Preview" if event.preview else before.badge, said=said
    )


def _words_or_picture(before: Moment, line: str, aside: str, fraction: float | None = None) -> Moment:
    screen = before.screen if "q-picture" in before.screen else stage.words(line, aside)
    return replace(before, state="running", screen=screen, line=line, aside=aside, fraction=fraction, said=line)
