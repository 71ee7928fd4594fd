"""Dataclasses from plain values, types checked.

Values of the right type already are taken at once. OmegaConf converts the others, or says what is wrong with them; it
takes a hundred times longer, and most of a page's start-up would be spent in it.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
INTERPOLATION, MISSING = re.compile(r"(\\*)\$\{"), re.compile(r"\\*\?\?\?")  # what OmegaConf reads into text
WHOLE_NUMBER = re.compile(r"-?(0|[1-9]\d{0,15})")


class _Other(Exception):
    """Not of the declared type, or not of one that is known here."""


def typed(cls: type[T], values: Mapping[str, Any]) -> T:
    """`cls` built from values of known fields. ValueError says which does not fit, or what `__post_init__` says."""
    try:
        hints = _hints(cls)
        ready = {name: _as_declared(value, hints[name]) for name, value in values.items()}
        if required(cls) - ready.keys():
            raise _Other
    except _Other:
        return _converted(cls, values)
    return cls(**ready)


@functools.cache
def required(cls: type) -> frozenset[str]:
    """Fields without a default."""
    absent = dataclasses.MISSING
    return frozenset(f.name for f in dataclasses.fields(cls) if f.default is absent and f.default_factory is absent)


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _as_declared(value: Any, kind: Any) -> Any:
    if kind in (str, bool, int) and type(value) is kind:
        return value
    if kind is int and type(value) is str and WHOLE_NUMBER.fullmatch(value):  # from the command line
        return int(value)
    if kind is float and (type(value) is float or (type(value) is int and abs(value) < 2**53)):
        return float(value)
    if kind is Path and (type(value) is str or isinstance(value, Path)):
        return Path(value)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal and type(value) is str and value in inner:
        return value
    if origin in (Union, types.UnionType) and type(None) in inner and len(inner) == 2:
        return None if value is None else _as_declared(value, inner[0] if inner[1] is type(None) else inner[1])
    if isinstance(value, list | tuple) and (origin is list or (origin is tuple and inner[1:] == (...,))):
        return origin(_as_declared(item, inner[0]) for item in value)
    raise _Other


def _converted(cls: type[T], values: Mapping[str, Any]) -> T:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    given = {name: _literal(value) for name, value in values.items()}
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(cls), given))  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        raise ValueError(f"{f'{key}: ' if key else ''}{str(error).splitlines()[0]:.200}.") from error


def _literal(value: Any) -> Any:
    """Text that OmegaConf takes as it stands: a visitor's `${oc.env:NAME}` would read a variable of this machine."""
    if isinstance(value, str):
        value = INTERPOLATION.sub(lambda found: found[1] * 2 + "\\${", value)
        return "\\" + value if MISSING.fullmatch(value) else value
    if isinstance(value, dict):
        return {name: _literal(inner) for name, inner in value.items()}
    return [_literal(inner) for inner in value] if isinstance(value, list | tuple) else value
