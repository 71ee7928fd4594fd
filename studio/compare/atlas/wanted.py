"""presets/atlas.yaml -> the comparisons that the atlas should hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from models.method import REPOSITORY
from studio.compare.brief import Brief
from studio.compare.cost import Costs
from studio.compare.matrix import Variant
from studio.compare.plan import Plan
from studio.presets import PRESET_DIR, did_you_mean

WANTED = REPOSITORY / PRESET_DIR / "atlas.yaml"
KEYS, PART_KEYS = ("seeds", "comparisons"), ("methods", "briefs")
BRIEF_KEYS = ("prompt", "negative_prompt", "person", "subject", "cameras")
PICTURES = ("person", "subject")


@dataclass(frozen=True)
class Wanted:
    """One comparison: these methods, given this brief with its one seed. `id` names its files."""

    id: str
    keys: tuple[str, ...]
    brief: Brief

    def plan(self, known: Mapping[str, Variant], costs: Costs) -> Plan:
        """ValueError when a method is not known, or cannot make its video."""
        from studio.compare.by_name import plan_by_name

        plan = plan_by_name(known, self.brief, self.keys, "", "", costs)
        for cell in plan.cells:
            if cell.request is None:
                raise ValueError(f"{self.id}: {cell.label} cannot be made. {cell.reason}")
        return plan


def read_wanted(file: Path = WANTED) -> list[Wanted]:
    """In the order of the file, seeds innermost. ValueError names the place of what is wrong."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read: {' '.join(str(error).split())}.") from error
    seeds, parts = _mapping(content, KEYS, str(file)).values()
    wanted = []
    for name, part in parts.items():
        methods, briefs = _mapping(part, PART_KEYS, f"{file}: {name}").values()
        for number, values in enumerate(briefs, start=1):
            place = f"{file}: {name}: briefs[{number - 1}]"
            for seed in seeds:
                brief = _brief(values, seed, file.parent, place)
                wanted.append(Wanted(f"{name}-{number}-seed{seed}", tuple(methods), brief))
    return wanted


def _brief(values: Any, seed: int, folder: Path, place: str) -> Brief:
    if not isinstance(values, dict):
        raise ValueError(f"{place} must hold `key: value` pairs, got a {type(values).__name__}.")
    for key in values:
        if key not in BRIEF_KEYS:
            raise ValueError(f"{place}: unknown key {key!r}. {did_you_mean(key, BRIEF_KEYS)}")
    given: dict[str, Any] = {"prompt": ""} | values
    for name in PICTURES:
        if name in given:
            given[name] = folder / given[name]
            if not given[name].is_file():
                raise ValueError(f"{place}: {name}: there is no file {given[name]}.")
    return Brief(**given, seeds=(seed,))


def _mapping(content: Any, keys: tuple[str, ...], place: str) -> dict[str, Any]:
    """Exactly these keys, in this order."""
    if not isinstance(content, dict) or sorted(content) != sorted(keys):
        raise ValueError(f"{place} must hold {' and '.join(keys)}.")
    return {key: content[key] for key in keys}
