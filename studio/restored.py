"""Settings that a video carries, back into a form of this studio, with a sentence for whatever could not come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.method import FieldInfo, is_camera_file, label_of, path_entries, request_fields
from studio.events import request_values
from studio.foreign import PLAIN, foreign_values
from studio.presets import Preset, request_with

LONGEST = 200  # characters of one remark: its words may be the file's
Inputs = Mapping[str, Sequence[Path]]  # files that came with the video, by field, in the order of its entries


@dataclass(frozen=True)
class Restored:
    """A value for every field of the preset's request; a picture that is not there is None."""

    preset: Preset
    values: dict[str, Any]
    remarks: tuple[str, ...] = ()


def restored(settings: Mapping[str, Any], presets: Mapping[str, Preset], inputs: Inputs | None = None) -> Restored:
    """`settings` as `outputs.read_settings` gives them. ValueError for a method that is not here, or no request."""
    preset = _preset_of(settings, presets)
    asked = settings.get("request")
    if not isinstance(asked, dict):
        raise ValueError("The settings in this file are damaged: they hold no request.")
    ours = _with_files(preset, asked, inputs or {})
    values = _starting(preset) | foreign_values(preset, asked, ours)
    made_with = str(settings.get("preset"))
    remarks = [] if made_with == preset.key else [f"It was made with {made_with:.60}, which is not offered here."]
    remarks += _remarks(preset, asked, ours, values, settings.get("left_out"))
    return Restored(preset, values, tuple(remark[:LONGEST] for remark in remarks))


def _preset_of(settings: Mapping[str, Any], presets: Mapping[str, Preset]) -> Preset:
    """The preset it was made with, or another of the same method."""
    method = settings.get("method")
    named = presets.get(str(settings.get("preset")))
    if named is not None and named.method.name == method:
        return named
    found = next((preset for preset in presets.values() if preset.method.name == method), None)
    if found is None:
        titles = ", ".join(dict.fromkeys(preset.method.title for preset in presets.values()))
        raise ValueError(
            f"This video was made with {method!r:.60}, which is not part of this studio. It has: {titles}."
        )
    return found


def _starting(preset: Preset) -> dict[str, Any]:
    """The preset's own values, without its pictures: another's picture in the place of a missing one would mislead."""
    fields = request_fields(preset.method.request)
    return {
        name: None if fields[name].kind == "image" else value
        for name, value in request_values(preset.request).items()
        if name in fields
    }


def _with_files(preset: Preset, asked: Mapping[str, Any], inputs: Inputs) -> dict[str, str]:
    """The fields whose files came along, all of them, with the paths at which they lie now."""
    changed: dict[str, str] = {}
    for name, info in request_fields(preset.method.request).items():
        files = list(inputs.get(name, ()))
        if files and info.kind == "image":
            changed[name] = str(files[0])
        elif info.kind == "camera_path" and isinstance(asked.get(name), str):
            entries = path_entries(asked[name])
            if files and len(files) == sum(map(is_camera_file, entries)):  # no path of the video's own may remain
                changed[name] = "; ".join(str(files.pop(0)) if is_camera_file(entry) else entry for entry in entries)
    return changed


def _remarks(
    preset: Preset, asked: Mapping[str, Any], ours: Mapping[str, str], values: Mapping[str, Any], left_out: Any
) -> list[str]:  # fmt: skip
    fields = request_fields(preset.method.request)
    remarks = [f"{preset.method.title} has no setting {name!r:.40}." for name in asked if name not in fields]
    for name, info in fields.items():
        label = label_of(name, info)
        if info.kind == "image":
            wanted = info.required or asked.get(name) is not None or (isinstance(left_out, list) and name in left_out)
            if wanted and values[name] is None:
                remarks.append(f"{label}: the picture is not in the file. Add it again.")
        elif name not in asked:
            remarks.append(f"The file says nothing of {label}.")
        elif values[name] != ours.get(name, asked[name]):
            fault = _fault(preset, name, ours.get(name, asked[name]), info, name in ours)
            remarks.append(f"{fault} It stays at {values[name]!r:.40}.")
    return remarks + _misfits(preset, values)


def _fault(preset: Preset, name: str, value: Any, info: FieldInfo, ours: bool) -> str:
    """Why a field cannot have this value. A file of this machine that the video names is not even looked for."""
    if not ours and info.kind == "camera_path" and any(map(is_camera_file, path_entries(str(value)))):
        return f"{label_of(name, info)}: the camera file is not inside. Add it again."
    if not isinstance(value, PLAIN):
        return f"{label_of(name, info)} is {type(value).__name__}, which no field holds."
    try:
        request_with(preset.request, {name: value})
    except (ValueError, OverflowError) as error:
        return str(error)
    return f"{label_of(name, info)} does not go with the rest."


def _misfits(preset: Preset, values: Mapping[str, Any]) -> list[str]:
    """What Generate would say to all of them together."""
    try:
        preset.check(
            request_with(preset.request, {name: value for name, value in values.items() if value is not None})
        )
    except (ValueError, OverflowError) as error:
        return [str(error)]
    return []
