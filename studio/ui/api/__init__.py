"""The studio for programs: named, typed endpoints beside the page. docs/api.md shows them in use."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.ui.api.endpoints import Endpoints

AT_ONCE = 2  # files read or measured at one time; others wait


def add_api(endpoints: Endpoints) -> None:
    """Offer the endpoints; call it inside the page's Blocks. Jobs wait in our own queue, not in Gradio's."""
    light: dict[str, Any] = {"concurrency_limit": None}
    heavy: dict[str, Any] = {"concurrency_limit": AT_ONCE, "concurrency_id": "api files"}
    for function, options in (
        (endpoints.presets, light),
        (endpoints.generate, light),
        (endpoints.compare, light),
        (endpoints.metrics, heavy),
        (endpoints.inspect, heavy),
        (endpoints.forget, light),
    ):
        gr.api(function, api_name=function.__name__, **options)
