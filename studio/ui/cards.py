"""Cards with a small clip and buttons: examples and history share their look and their few lines of script."""

from __future__ import annotations

from html import escape
from pathlib import Path

SCRIPT = Path(__file__).with_name("cards.js").read_text(encoding="utf-8")


def button(action: str, id: str, label: str, sure: str = "") -> str:
    """A button that arrives in Python as a click with `action` and `id`; with `sure` it asks that before."""
    asks = f' data-sure="{escape(sure)}"' if sure else ""
    words = escape(label)
    return (
        f'<button type="button" class="q-small" data-action="{action}" data-id="{escape(id)}"{asks}>{words}</button>'
    )


def download(address: str, name: str, label: str) -> str:
    """A link that saves the file."""
    return f'<a class="q-small" href="{escape(address)}" download="{escape(name)}">{escape(label)}</a>'


def thumbnail(video: str | None, poster: str | None = None) -> str:
    """The clip at rest; the script plays it under a pointer or with the focus."""
    if video is None:
        return f'<img src="{escape(poster)}" alt="">' if poster else '<div class="q-nothing"></div>'
    still = f' poster="{escape(poster)}"' if poster else ""
    # #t= makes browsers that load only metadata show a frame
    return (
        f'<video src="{escape(video)}#t=0.001"{still} muted loop playsinline preload="metadata"'
        ' tabindex="-1" aria-hidden="true"></video>'
    )
