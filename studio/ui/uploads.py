"""Components that take files, and take only what was uploaded.

Gradio checks the path of what calls itself a file (`meta`); a bare {"path": ...} it hands on as it was sent, and its
components open it. So every component that takes files stands here and looks for itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from studio.ui.media import is_upload


def uploaded_path(payload: Any) -> str | None:
    """The path of one upload. gr.Error for a path of this machine."""
    if payload is None or not payload.path:
        return None
    if not is_upload(Path(payload.path)):
        raise gr.Error("Add the file again.", print_exception=False)
    return str(payload.path)


class Picture(gr.Image):
    """A picture, handed on as it was uploaded: only a worker decodes it, with limits (models.common.pictures).

    Gradio itself would decode whatever is not RGB in the page's own process, however large it is.
    """

    is_template = True  # drawn as what it derives from

    def preprocess(self, payload: Any) -> str | None:
        return uploaded_path(payload)


class OneFile(gr.File):
    """A single file."""

    is_template = True

    def preprocess(self, payload: Any) -> str | None:
        return uploaded_path(_first(payload))


class OneFileButton(gr.UploadButton):
    """A single file from a button."""

    is_template = True

    def preprocess(self, payload: Any) -> str | None:
        return uploaded_path(_first(payload))


def _first(payload: Any) -> Any:
    """Gradio wraps several files in a list of its own."""
    return payload[0] if isinstance(getattr(payload, "root", None), list) and payload.root else payload
