"""A client's files: only what came through Gradio's upload, never a path of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.method import Request, request_fields
from studio.compare.brief import Role, roles
from studio.presets import Preset, request_with
from studio.ui.controls import check_uploads
from studio.ui.media import is_upload

NOT_UPLOADED = "{} must be a file that was uploaded first; docs/api.md shows how."


def uploaded(file: Any, name: str) -> Path | None:
    """The file behind what a client sent, None for none. ValueError for anything else than an upload.

    Gradio checks only what calls itself a file; a bare `{"path": ...}` arrives as it was sent.
    """
    if file is None:
        return None
    path = file.get("path") if isinstance(file, dict) else None
    if not isinstance(path, str) or "\0" in path or not is_upload(Path(path)) or not Path(path).is_file():
        raise ValueError(NOT_UPLOADED.format(name))
    return Path(path)


def request_of(preset: Preset, values: Mapping[str, Any], pictures: Mapping[Role, Path | None]) -> Request:
    """The preset's request with a client's values in it. ValueError names the field that does not fit."""
    infos = request_fields(preset.method.request)
    for name, value in values.items():
        kind = infos[name].kind if name in infos else ""
        if kind == "image":
            raise ValueError(f"{name} is a picture; send it as person or subject.")
        if kind == "camera_path":
            check_uploads(str(value))
    taken = roles(preset.method.request)
    for role, path in pictures.items():
        if path is not None and role not in taken:
            raise ValueError(f"{preset.title} takes no picture of a {role}.")
    given = {taken[role]: path for role, path in pictures.items() if path is not None}
    return request_with(preset.request, {**values, **given})


def check_consent(preset: Preset, pictures: Mapping[Role, Path | None], consent: bool) -> None:
    """ValueError, with the sentence to agree to, for a face without it."""
    infos = request_fields(preset.method.request)
    for role, name in roles(preset.method.request).items():
        if infos[name].consent and pictures.get(role) is not None and not consent:
            raise ValueError(f'Send consent=true to say: "{infos[name].consent}"')
