"""What a job says while it runs, and what a worker needs to run it.

Standard library only: both sides of the pipe import it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.method import REPOSITORY, Recipe, Request, is_camera_file, path_entries, request_fields

SHIPPED = REPOSITORY / "presets"  # pictures that come with the studio


@dataclass(frozen=True)
class Waiting:
    """In the queue; `position` counts the jobs ahead, the running one included, so 0 means next."""

    position: int


@dataclass(frozen=True)
class Started:
    """Handed to a worker."""


@dataclass(frozen=True)
class Loading:
    """Weights on their way into memory. `stage` says what in words; bytes are 0 where they are unknown."""

    stage: str
    done_bytes: int = 0
    total_bytes: int = 0


@dataclass(frozen=True)
class Progress:
    """`stage` is encode, denoise, decode or save; `preview` a small WebP or None; `seconds_left` covers denoising."""

    stage: str
    index: int = 0
    total: int = 0
    preview: bytes | None = None
    seconds_left: float | None = None


@dataclass(frozen=True)
class Finished:
    """The videos are on disk. `seconds` from the worker's start on this job."""

    paths: tuple[Path, ...]
    poster: Path
    seconds: float


@dataclass(frozen=True)
class Failed:
    """`message` is what happened, `advice` what would work; both are for the person who pressed Generate."""

    message: str
    advice: str = ""
    bad_input: bool = False  # the request, the weights or the settings are at fault, not the program


@dataclass(frozen=True)
class Stopped:
    """Stopped on request; nothing was written."""


Event = Waiting | Started | Loading | Progress | Finished | Failed | Stopped
TERMINAL = (Finished, Failed, Stopped)


class StudioError(Exception):
    """Something a person can act on: `message` says what and the value, `advice` what would work."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message, advice)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".strip()


@dataclass(frozen=True)
class JobSpec:
    """Everything a worker needs for one job. `output` names the file; None: a new name in the output folder."""

    id: str
    preset: str
    method: str
    request: Request
    recipe: Recipe
    output: Path | None = None


@dataclass(frozen=True)
class InspectSpec:
    """What a worker needs to show what a method sees of a picture. Nothing of it is kept."""

    id: str
    method: str
    field: str
    picture: Path
    recipe: Recipe


@dataclass(frozen=True)
class Seen:
    """One `Sight` on its way to the page: its picture as WebP bytes."""

    picture: bytes
    label: str
    choice: Any = None
    first: bool = False


def request_values(request: Request) -> dict[str, Any]:
    """The request as plain values that JSON can hold."""
    values = dataclasses.asdict(request)
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def kept_values(request: Request) -> dict[str, Any]:
    """The request as it may be written down: a person's own picture is left out, its path and name included."""
    values = request_values(request)
    for name, info in request_fields(type(request)).items():
        if info.kind == "image" and values[name] is not None:
            values[name] = shipped_name(Path(values[name]))
        elif info.kind == "camera_path":  # of a camera file the name alone: where it lay helps nobody
            entries = path_entries(values[name])
            values[name] = "; ".join(Path(entry).name if is_camera_file(entry) else entry for entry in entries)
    return values


def left_out(request: Request) -> list[str]:
    """The fields whose pictures `kept_values` leaves out."""
    kept, whole = kept_values(request), request_values(request)
    return [name for name in kept if whole[name] is not None and kept[name] is None]


def shipped_name(picture: Path) -> str | None:
    """A picture that comes with the studio, by its place in the repository; None for a person's own."""
    path = picture.resolve()
    return path.relative_to(REPOSITORY).as_posix() if path.is_relative_to(SHIPPED) else None
