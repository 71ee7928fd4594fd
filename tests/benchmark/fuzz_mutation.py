"""Damage for parsers: bytes, words and JSON made wrong by a seeded generator."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

ODD_BYTES = (
    b"", b"\0", b"\xff" * 8, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0" * 64, b"-1", b"1e999", b"nan", b"../",
    b"\xed\xa0\x80", b"%s%n", b"<script>", b"${7*7}", b"{{7*7}}", b"\r\n", b"[" * 60, b"9" * 400,
)  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, float("inf"), float("nan"), "",
    " ", "\0", "\ud800", "a" * 3000, "../../etc/passwd", "/etc/passwd", "<img src=x onerror=alert(1)>", "9" * 400, [],
    [[]], [None] * 50, {}, {"": None}, {"a": {"b": {}}}, ["x", 1, None],
)  # fmt: skip


def damaged(content: bytes, lots: random.Random, others: tuple[bytes, ...] = ()) -> bytes:
    """One to four changes: bits, cuts, repeats, odd bytes, parts of another file."""
    data = bytearray(content)
    for _ in range(lots.choice((1, 1, 2, 4))):
        at = lots.randrange(len(data) + 1)
        if lots.random() < 0.5:  # headers decide most
            at = min(at, lots.randrange(1, 65))
        length = min(lots.choice((1, 2, 4, 16, 200)), len(data) - at)
        change = lots.randrange(6)
        if change == 0 and at < len(data):
            data[at] ^= 1 << lots.randrange(8)
        elif change == 1:
            del data[at : at + length]
        elif change == 2:
            data[at:at] = data[at : at + length]
        elif change == 3:
            odd = lots.choice(ODD_BYTES)
            data[at : at + (len(odd) if lots.random() < 0.5 else 0)] = odd
        elif change == 4:
            del data[at:]
        elif others:
            other = lots.choice(others)
            start = lots.randrange(len(other) + 1)
            data[at : at + length] = other[start : start + length]
    return bytes(data)


def damaged_words(words: str, lots: random.Random) -> str:
    """Text with lines and words repeated, dropped, swapped or replaced, and sometimes damaged as bytes."""
    lines = words.splitlines()
    for _ in range(lots.choice((1, 1, 2, 5))):
        at = lots.randrange(len(lines)) if lines else 0
        change = lots.randrange(5)
        if change == 0 and lines:
            del lines[at]
        elif change == 1 and lines:
            lines.insert(at, lots.choice(lines))
        elif change == 2 and lines:
            parts = lines[at].split(" ")
            parts[lots.randrange(len(parts))] = str(lots.choice(ODD_VALUES))[:5000]
            lines[at] = " ".join(parts)
        elif change == 3:
            lines.insert(at, lots.choice(ODD_BYTES).decode("latin-1"))
        else:
            return damaged("\n".join(lines).encode("utf-8", "surrogatepass"), lots).decode("utf-8", "replace")
    return "\n".join(lines)


def damaged_tree(tree: Any, lots: random.Random) -> Any:
    """A copy of a JSON value with one to three of its nodes replaced, dropped or renamed."""
    tree = copy.deepcopy(tree)
    for _ in range(lots.choice((1, 1, 2, 3))):
        places = list(_places(tree))
        if not places:
            break
        holder, key = lots.choice(places)
        change = lots.randrange(4)
        if change == 0:
            del holder[key]
        elif change == 1 and isinstance(holder, dict):
            holder[str(lots.choice(ODD_VALUES))[:50]] = holder.pop(key)
        else:
            holder[key] = copy.deepcopy(lots.choice(ODD_VALUES))
    return tree


def json_text(tree: Any, lots: random.Random) -> str:
    """Mostly JSON; now and then nested too deep to be read."""
    if lots.random() < 0.01:
        return "[" * 100_000
    return json.dumps(tree)


def _places(tree: Any) -> Any:
    """Every (holder, key) below."""
    pending = [tree]
    while pending:
        holder = pending.pop()
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        for key in keys:
            yield holder, key
            if isinstance(holder[key], dict | list):
                pending.append(holder[key])
