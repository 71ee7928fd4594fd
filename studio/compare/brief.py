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
PERSON_FIELDS = ("face", "person")  # any other picture is a subject's
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


def request_of(preset: Preset, brief: Brief, changes: Mapping[str, Any]) -> Request:
    """The preset's request with the brief in it and `changes` over both. ValueError names what does not fit."""
    fields = roles(preset.method.request)
    values = {fields[role]: value for role, value in brief.given().items() if role in fields}
    pictures: tuple[Role, ...] = ("person", "subject")
    for role in pictures:  # the preset's own picture would answer another question than the brief's
        if role in fields and fields[role] not in values:
            values[fields[role]] = None
    return request_with(preset.request, values | dict(preset.method.compared) | dict(changes))
