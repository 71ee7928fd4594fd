"""Sizes, licences and the state of a preset in words, the same in the page and in the terminal."""

from __future__ import annotations

from studio.weights.library import Status
from studio.weights.needs import Need


def in_bytes(count: int) -> str:
    """Decimal units, as publishers and disks state them."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def licence_words(need: Need) -> str:
    """Licence, condition and address in one line."""
    terms = need.terms
    if terms is None:
        return f"from {need.place}; its licence is not stated here, look before you use it"
    use = "not for commercial use" if terms.non_commercial else ""
    parts = [terms.licence, use, terms.condition.rstrip("."), terms.licence_url or terms.url]
    return ". ".join(part for part in parts if part)


def summary(status: Status) -> str:
    """Where a preset stands."""
    if status.ready:
        return "ready"
    if status.missing and not status.to_fetch:
        return f"lacks {', '.join(status.missing)}"
    if any(part.by_hand for part in status.to_fetch):
        return f"{in_bytes(status.bytes_to_fetch)} to fetch, part of it in a browser"
    if not status.to_fetch:
        return "fetched, not yet converted"
    return f"{in_bytes(status.bytes_to_fetch)} to fetch"
