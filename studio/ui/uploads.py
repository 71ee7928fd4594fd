"""Uploaded pictures, handed on as they came: only a worker decodes them, with limits (models.common.pictures)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from studio.ui.media import is_upload


class Picture(gr.Image):
    """Gradio's picture without its decoding: it would open whatever is not RGB in the page's own process."""

    is_template = True  # drawn as what it derives from

    def preprocess(self, payload: Any) -> str | None:
        """The path of the upload."""
        if payload is None or not payload.path:
            return None
        if not is_upload(Path(payload.path)):  # Gradio has refused it before; a path of this machine never passes
            raise gr.Error("Add the picture again.", print_exception=False)
        return str(payload.path)
