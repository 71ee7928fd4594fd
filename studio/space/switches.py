"""Every setting of the studio as a row of docs/spaces.md."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from studio.settings import PREFIX, StudioSettings


def table() -> str:
    """Markdown: the variable, its starting value, what it does. Flags and keys of studio.yaml have the same names."""
    kinds = get_type_hints(StudioSettings)
    rows = [
        f"| `{PREFIX}{f.name.upper()}` | {_worded(f.default)} | {f.metadata['help']}{_choices(kinds[f.name])} |"
        for f in fields(StudioSettings)
    ]
    return "\n".join(["| variable | starts as | what it does |", "|---|---|---|", *rows]) + "\n"


def _worded(value: Any) -> str:
    if value is MISSING or value in ("", ()):
        return ""
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    return (
        f"`{value.as_posix() if isinstance(value, Path) else str(value).lower() if value in (True, False) else value}`"
    )


def _choices(kind: Any) -> str:
    words = [word for word in get_args(kind) if isinstance(word, str)]
    return f" ({', '.join(words)})" if words else ""
