"""What a preset cannot do without, grouped by the place it comes from, and the terms of each place."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from models.method import REPOSITORY, Component, Conversion, Published, Terms
from studio.presets import Preset
from studio.registry.files import WeightsError, find_weights, read_config
from studio.weights.hub import module_patterns, settings_patterns
from studio.weights.hub_cache import HubSource
from studio.weights.made import is_whole, read_sums

REMOTE = ("hub:", "https://", "http://", "hand:")
PieceKind = Literal["module", "settings", "files", "all"]
PIECES: dict[str, PieceKind] = {"module": "module", "files": "settings"}  # by a component's kind


@dataclass(frozen=True)
class Piece:
    """A folder of a network, of settings, of named files, or whatever is there, at `path` of a repository."""

    kind: PieceKind
    path: str = ""
    files: tuple[str, ...] = ()

    @property
    def patterns(self) -> tuple[str, ...]:
        if self.kind == "module":
            return module_patterns(self.path)
        if self.kind == "settings":
            return settings_patterns(self.path)
        if self.kind == "all":
            return (self.path, f"{self.path}/*") if self.path else ("*",)
        return tuple("/".join(part for part in (self.path, name) if part) for name in self.files or ("",))

    def is_in(self, root: Path) -> bool:
        """Whether it lies below `root`, as far as can be told without a list of its files."""
        if self.kind == "module":
            return holds_network(root / self.path)
        if self.kind == "settings":
            return holds_files(root / self.path)
        if self.kind == "all":
            return (root / self.path).exists()
        names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        return all(any(fnmatchcase(name, pattern) for name in names) for pattern in self.patterns)


@dataclass(frozen=True)
class Need:
    """Files of one place: `hub:owner/name@revision`, an address, or `hand:` and the name of a file."""

    place: str
    pieces: tuple[Piece, ...]
    terms: Terms | None = None

    @property
    def name(self) -> str:
        return self.terms.name if self.terms else self.place.partition(":")[2].partition("#")[0]

    @property
    def patterns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(pattern for piece in self.pieces for pattern in piece.patterns))


def needs_of(preset: Preset, conversions: tuple[Conversion, ...]) -> tuple[Need, ...]:
    """Everything fetched for this preset: what its weights name, and the sources of `conversions`."""
    kinds = {component.source: component.kind for component in _components(preset)}
    pieces: dict[str, list[Piece]] = {}
    for source in sources_of(preset):
        if source.startswith(REMOTE):
            place, path = _split(source)
            pieces.setdefault(place, []).append(Piece(PIECES.get(kinds.get(source, ""), "all"), path))
    for conversion in conversions:
        for published in conversion.sources.values():
            place, path = _split(published.source)
            pieces.setdefault(place, []).append(Piece("files", path, published.files))
    return tuple(
        Need(place, tuple(dict.fromkeys(found)), terms_of(preset, place)) for place, found in sorted(pieces.items())
    )


def conversions_of(preset: Preset) -> tuple[Conversion, ...]:
    """Those that make a folder of this preset."""
    return tuple(c for c in preset.method.conversions if _made_by(preset, c))


def is_made(preset: Preset, conversion: Conversion) -> bool:
    """Whether everything that the preset takes from the conversion's folder is there."""
    made = REPOSITORY / conversion.folder
    if read_sums(made) and not is_whole(made):
        return False
    kinds = {component.source: component.kind for component in _components(preset)}
    for source in _made_by(preset, conversion):
        folder = REPOSITORY / source
        if kinds.get(source) == "module" and not holds_network(folder):
            return False
        if kinds.get(source) == "files" and not holds_files(folder):
            return False
        if not folder.exists():
            return False
    return True


def sources_of(preset: Preset) -> tuple[str, ...]:
    """Every source and folder that the preset's weights name."""
    return tuple(dict.fromkeys(_strings(dataclasses.asdict(preset.weights))))


def terms_of(preset: Preset, place: str) -> Terms | None:
    """The terms under which a place gives out its files."""
    covering = [terms for terms in preset.method.terms if any(place.startswith(start) for start in terms.covers)]
    return covering[0] if covering else None


def holds_network(folder: Path) -> bool:
    try:
        read_config(folder)
        return bool(find_weights(folder))
    except WeightsError:
        return False


def holds_files(folder: Path) -> bool:
    return folder.is_dir() and any(path.is_file() for path in folder.iterdir())


def _components(preset: Preset) -> tuple[Component, ...]:
    inspector = preset.method.inspector
    components = preset.recipe.components + (inspector(preset.weights).components if inspector else ())
    return tuple(folder for component in components for folder in component.folders)


def _made_by(preset: Preset, conversion: Conversion) -> list[str]:
    folder = Path(conversion.folder)
    return [s for s in sources_of(preset) if not s.startswith(REMOTE) and Path(s).is_relative_to(folder)]


def _split(source: str) -> tuple[str, str]:
    """The place of a source, and the path in it."""
    if not source.startswith("hub:"):
        return source, ""
    parsed = HubSource.parse(source)
    return parsed.place, parsed.path


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def path_in(published: Published, root: Path) -> Path:
    """What a conversion is given: below the snapshot of a hub source, or the file itself."""
    return root / _split(published.source)[1] if published.source.startswith("hub:") else root
