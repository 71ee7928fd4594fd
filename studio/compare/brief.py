"""What a person wants to see, in words that belong to no method, and how it becomes a request of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from models.method import FieldInfo, Request, request_fields
from studio.presets import Preset, request_with

Role = Literal["prompt", "negative_prompt", "seed", "person", "subject", "cameras"]
SAME_NAME: tuple[Role, ...] = ("prompt", "negative_prompt", "seed")
PICTURES: tuple[Role, ...] = ("person", "subject")
PERSON_FIELDS = ("face", "person")  # any other picture is a subject's
PICTURE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM")  # of a PNG, a JPEG and a BMP
WORDS: Mapping[Role, str] = {
    "prompt": "text",
    "negative_prompt": "a negative prompt",
    "seed": "a seed",
    "person": "a person",
    "subject": "a subject",
    "cameras": "cameras",
}


@dataclass(frozen=True)
class Brief:
    """One wish for every method; what is empty is left to each method's preset."""

    prompt: str
    negative_prompt: str = ""
    seeds: tuple[int, ...] = (42,)
    person: Path | None = None
    subject: Path | None = None
    cameras: str = ""

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise ValueError("The prompt is empty. Write what should happen in the videos.")
        if not self.seeds:
            raise ValueError("There is no seed. Type one, for example 42.")

    def given(self) -> dict[Role, Any]:
        """What was filled in, by role; the first seed stands for all."""
        values: dict[Role, Any] = {
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "seed": self.seeds[0],
            "person": self.person,
            "subject": self.subject,
            "cameras": self.cameras,
        }
        return {role: value for role, value in values.items() if value not in (None, "")}


def role_of(name: str, info: FieldInfo) -> Role | None:
    """What a request's field takes from a brief."""
    if info.kind == "image":
        return "person" if name in PERSON_FIELDS else "subject"
    if info.kind == "camera_path":
        return "cameras"
    return next((role for role in SAME_NAME if role == name), None)


def roles(request: type[Request]) -> dict[Role, str]:
    """Role -> the first field that takes it."""
    found: dict[Role, str] = {}
    for name, info in request_fields(request).items():
        role = role_of(name, info)
        if role is not None:
            found.setdefault(role, name)
    return found


def is_picture(path: Path) -> bool:
    """Whether a file starts as a picture does; a file that is gone is told elsewhere. Nothing is decoded here."""
    if not path.is_file():
        return True
    with path.open("rb") as file:
        start = file.read(12)
    return start.startswith(PICTURE_STARTS) or (start[:4] == b"RIFF" and start[8:] == b"WEBP")


def request_of(preset: Preset, brief: Brief, changes: Mapping[str, Any]) -> Request:
    """The preset's request with the brief in it and `changes` over both. ValueError names what does not fit."""
    fields = roles(preset.method.request)
    values = {fields[role]: value for role, value in brief.given().items() if role in fields}
    for role in PICTURES:
        if role not in fields:
            continue
        given = getattr(brief, role)
        if given is None:  # the preset's own picture would answer another question than the brief's
            values[fields[role]] = None
        elif not is_picture(given):
            raise ValueError(
                f"The file of the {role} is not a picture that can be read. Use a PNG, JPEG or WebP file."
            )
    return request_with(preset.request, values | dict(preset.method.compared) | dict(changes))
