"""A component as it is on disk: its files, their layout in memory, and what makes it the same as another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.method import Component
from studio.registry.files import Digests, WeightsFile, find_folder, find_weights, import_object, read_config
from studio.registry.layout import Key, Layout, combine_digests, lay_out
from studio.registry.options import Options
from studio.registry.precision import compute_format, format_rule
from studio.registry.scaled import require_torchao

Origin = tuple[str, str, str]  # builder, source, format asked for: how recipes name a component


@dataclass(frozen=True)
class Source:
    """`compute` is the format it computes in, `format` also says how it rests."""

    component: Component
    folder: Path
    config: dict[str, Any]
    files: list[WeightsFile]
    compute: str
    format: str
    layout: Layout

    @property
    def origin(self) -> Origin:
        return origin_of(self.component)

    @property
    def network(self) -> str:
        """The class and the settings that shape it, in one digest."""
        config = {name: value for name, value in self.config.items() if not name.startswith("_")}
        return hashlib.sha256(json.dumps([self.component.builder, config], sort_keys=True).encode()).hexdigest()


def origin_of(component: Component) -> Origin:
    return component.builder, component.source, component.dtype


def read_sources(component: Component, device: str, options: Options) -> list[Source]:
    """Its own folder, then its base's. Reads headers only. WeightsError for files that are absent or damaged."""
    return [_read_source(folder, device, options) for folder in component.folders]


def _read_source(component: Component, device: str, options: Options) -> Source:
    folder = find_folder(component.source)
    files = find_weights(folder)
    compute = compute_format(component, device)
    in_float32 = ()
    if compute == "float16":
        in_float32 = tuple(getattr(import_object(component.builder), "_keep_in_fp32_modules", None) or ())
    small = options.small_weights if "denoise" in component.stages else ""
    if small == "int8":
        require_torchao()
    layout = lay_out(files, format_rule(compute, small, in_float32))
    parts = {part for file in files for name in file.entries for part in name.split(".")}
    larger = sorted(parts.intersection(in_float32))
    format = ", ".join([compute, *([f"{small} at rest"] if small else []), *(f"{name} in float32" for name in larger)])
    return Source(component, folder, read_config(folder), files, compute, format, layout)


def key_of(source: Source, digests: Digests, on_bytes: Callable[[int], None]) -> Key:
    """Hashes files that were never seen before; 20 GB take half a minute, once."""
    known = []
    for file in source.files:
        digest = digests.get(file)
        if digest is None:
            from studio.registry.reading import hash_file

            digest = hash_file(file, on_bytes)
            digests.put(file, digest)
        known.append(digest)
    return Key(combine_digests(known), source.format)
