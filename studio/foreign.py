"""Settings that came in a file: whoever made it decides nothing here but what the fields of a form may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.method import is_camera_file, path_entries, request_fields
from studio.events import shipped_name
from studio.presets import Preset, request_with, shipped_pictures

PLAIN = (str, int, float)  # bool is an int


def foreign_values(
    preset: Preset, settings: Mapping[str, Any], ours: Mapping[str, str] | None = None
) -> dict[str, Any]:  # fmt: skip
    """The fields that this preset's request takes; what is unknown, misshapen or names a file is left out.

    Of files only the pictures that come with the preset may be named. `ours`: fields with paths that we wrote.
    """
    fields = request_fields(preset.method.request)
    values = {
        name: value
        for name, value in settings.items()
        if name in fields and isinstance(value, PLAIN) and not _names_file(preset, name, fields[name].kind, value)
    } | dict(ours or {})
    if _fits(preset, values):
        return values
    return {name: value for name, value in values.items() if _fits(preset, {name: value})}


def _names_file(preset: Preset, name: str, kind: str, value: Any) -> bool:
    if kind == "image":
        return value not in [shipped_name(path) for path in shipped_pictures(preset, name)]
    return kind == "camera_path" and any(map(is_camera_file, path_entries(str(value))))


def _fits(preset: Preset, values: Mapping[str, Any]) -> bool:
    try:
        request_with(preset.request, values)
    except (ValueError, OverflowError):
        return False
    return True
