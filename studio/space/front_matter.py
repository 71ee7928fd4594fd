"""The lines at the top of README.md that configure a Space: read, checked, and changed for a mode."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from studio.presets import did_you_mean
from studio.space.modes import Mode

FENCE = "---\n"
COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
LONGEST_DESCRIPTION = 60
# name -> type; the Hub's reference of Spaces' configuration, August 2026
FIELDS: dict[str, type] = {
    "title": str, "emoji": str, "colorFrom": str, "colorTo": str, "sdk": str, "sdk_version": str,
    "python_version": str, "app_file": str, "fullWidth": bool, "header": str, "short_description": str,
    "models": list, "datasets": list, "tags": list, "thumbnail": str, "pinned": bool, "license": str,
    "suggested_hardware": str, "preload_from_hub": list, "startup_duration_timeout": str, "disable_embedding": bool,
}  # fmt: skip
NEEDED = ("title", "emoji", "sdk", "sdk_version", "python_version", "app_file", "license", "short_description")
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def split(readme: str) -> tuple[dict[str, Any], str]:
    """(fields, the text below). ValueError when the README does not begin with such lines."""
    head, fence, text = readme.removeprefix(FENCE).partition("\n" + FENCE)
    if not readme.startswith(FENCE) or not fence:
        raise ValueError("README.md does not begin with the lines between --- that configure a Space.")
    try:
        fields = yaml.safe_load(head)
    except yaml.YAMLError as error:
        raise ValueError(f"README.md: its first lines are not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(fields, dict):
        raise ValueError("README.md: its first lines must be `key: value` lines.")
    return fields, text


def joined(fields: dict[str, Any], text: str) -> str:
    return FENCE + yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=120) + FENCE + text


def problems(fields: dict[str, Any]) -> list[str]:
    """A sentence for each thing that the Hub would refuse or ignore."""
    found = [f"{name} is missing" for name in NEEDED if name not in fields]
    for name, value in fields.items():
        if name not in FIELDS:
            found.append(f"{name!r} is not a field of a Space. {did_you_mean(name, FIELDS)}")
        elif not isinstance(value, FIELDS[name]):
            wanted, got = FIELDS[name].__name__, type(value).__name__
            found.append(f"{name} must be a {wanted}, got the {got} {value!r}; put it in quotes")
    description = str(fields.get("short_description", ""))
    if len(description) > LONGEST_DESCRIPTION:
        found.append(f"short_description has {len(description)} characters; at most {LONGEST_DESCRIPTION} fit")
    found += [
        f"{name} must be one of {', '.join(COLOURS)}, got {fields[name]!r}"
        for name in ("colorFrom", "colorTo")
        if name in fields and fields[name] not in COLOURS
    ]
    found += [
        f"{name}: {entry!r} is not of the form owner/name"
        for name in ("models", "datasets", "preload_from_hub")
        for entry in fields.get(name) or ()
        if not REPOSITORY.fullmatch(str(entry).split(" ")[0])
    ]
    return found


def for_mode(fields: dict[str, Any], mode: Mode, repository: str) -> dict[str, Any]:
    """The fields as they are uploaded to `repository`, "owner/name"."""
    changed = dict(fields)
    if mode.sdk == "static":
        keep = ("title", "emoji", "colorFrom", "colorTo", "short_description", "license", "tags", "pinned")
        changed = {name: value for name, value in fields.items() if name in keep} | {"app_file": "index.html"}
    changed["sdk"] = mode.sdk
    if mode.hardware:
        changed["suggested_hardware"] = mode.hardware
    if mode.python:
        changed["python_version"] = mode.python
    if "thumbnail" in changed and "://" not in changed["thumbnail"]:
        name = changed["thumbnail"]
        changed["thumbnail"] = f"https://huggingface.co/spaces/{repository}/resolve/main/{name}"
    return changed


def read(root: Path) -> tuple[dict[str, Any], str]:
    return split((root / "README.md").read_text(encoding="utf-8"))
