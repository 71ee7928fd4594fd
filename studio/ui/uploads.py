"""Uploaded pictures, handed on as they came: only a worker decodes them, with limits (models.common.pictures)."""

from __future__ import annotations

from typing import Any

import gradio as gr


class Picture(gr.Image):
    """Gradio's picture without its decoding: it would open whatever is not RGB in the page's own process."""

    is_template = True  # drawn as what it derives from

    def preprocess(self, payload: Any) -> str | None:
        """The path of the upload; Gradio has checked that it lies in its folder."""
        return str(payload.path) if payload is not None and payload.path else None
