"""The result side of a tab as HTML: one screen for preview, clip or words, one thin bar, one quiet line."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Literal

State = Literal["idle", "running", "done", "failed", "stopped"]


@dataclass(frozen=True)
class Moment:
    """What the result side shows at one moment. `screen` is HTML made by this file; the rest is plain text."""

    state: State
    screen: str
    line: str = ""
    aside: str = ""
    fraction: float | None = None  # of the work done; None while nobody can say
    badge: str = ""
    said: str = ""  # what a screen reader announces; changes seldom
    download: str = ""  # address of the clip


def words(title: str, *sentences: str) -> str:
    """A screen without a picture."""
    lines = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences if sentence)
    return f'<div class="q-words"><strong>{escape(title)}</strong>{lines}</div>'


def picture(address: str, description: str) -> str:
    # decoding=sync: an asynchronous decode shows an empty frame between two steps
    return f'<img class="q-picture" src="{escape(address)}" alt="{escape(description)}" decoding="sync">'


def clip(address: str, description: str, poster: str | None = None) -> str:
    """A looping, silent video."""
    shown = f' poster="{escape(poster)}"' if poster else ""
    return (
        f'<video class="q-picture" src="{escape(address)}" aria-label="{escape(description)}"{shown}'
        ' autoplay loop muted playsinline controls preload="auto"></video>'
    )


def alert(message: str) -> str:
    """A sentence for the person who can act, announced at once; "" takes it away."""
    return f'<p class="q-alert" role="alert">{escape(message)}</p>'


def draw(moment: Moment) -> str:
    """The whole stage. Its tags keep their order in every state, so the page changes only what differs."""
    badge = f'<span class="q-badge">{escape(moment.badge)}</span>' if moment.badge else "<span hidden></span>"
    download = (
        f'<a class="q-download" href="{escape(moment.download)}" download>Download</a>'
        if moment.download
        else "<a hidden></a>"
    )
    return (
        f'<section class="q-stage" data-state="{moment.state}" aria-label="Result">'
        f'<div class="q-screen">{moment.screen}{badge}</div>'
        f"{_bar(moment)}"
        f'<div class="q-line"><span>{escape(moment.line)}</span>'
        f"<span>{escape(moment.aside)}</span>{download}</div>"
        f'<p class="q-said" role="status" aria-live="polite">{escape(moment.said)}</p>'
        "</section>"
    )


def _bar(moment: Moment) -> str:
    if moment.state != "running":
        return '<div class="q-bar" data-busy="no"><i style="width:0%"></i></div>'
    if moment.fraction is None:
        return '<div class="q-bar" data-busy="unknown" role="progressbar" aria-label="Progress"><i></i></div>'
    percent = round(100 * min(max(moment.fraction, 0.0), 1.0))
    return (
        f'<div class="q-bar" data-busy="yes" role="progressbar" aria-label="Progress" aria-valuemin="0"'
        f' aria-valuemax="100" aria-valuenow="{percent}"><i style="width:{percent}%"></i></div>'
    )
