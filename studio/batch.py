"""A YAML list of videos to make: read, checked to the last entry before anything is computed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from studio.events import JobSpec
from studio.presets import Preset, did_you_mean, placed, preset_for, request_with

KEYS = ("method", "preset", "request", "output")
MOST_ENTRIES = 1000


@dataclass(frozen=True)
class Entry:
    """One video of the list; `given` is what the list itself says of its request."""

    number: int
    spec: JobSpec
    given: Mapping[str, Any]

    @property
    def output(self) -> Path:
        assert self.spec.output is not None
        return self.spec.output

    @property
    def made(self) -> bool:
        """Whether its video is there already. A scene of several clips has the poster under the entry's own name."""
        several = self.output.parent.glob(f"{self.output.stem}-*.mp4")
        return self.output.is_file() or (self.output.with_suffix(".webp").is_file() and any(several))


@dataclass
class Batch:
    """`problems` has a sentence for every entry that cannot be made."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_batch(file: Path, presets: Mapping[str, Preset], folder: Path) -> Batch:
    """The list in `file`, its videos to go below `folder`. ValueError when it is no list at all."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, list) or not content:
        raise ValueError(f"{file} must hold a list, one `- method: NAME` for each video; see docs/cli.md.")
    if len(content) > MOST_ENTRIES:
        raise ValueError(f"{file} lists {len(content)} videos; at most {MOST_ENTRIES} fit. Split it.")
    batch = Batch()
    taken: dict[Path, int] = {}
    for number, values in enumerate(content, start=1):
        try:
            entry = _entry(number, values, presets, file.parent, folder)
            if entry.output in taken:
                raise ValueError(f"output: {entry.output.name} is entry {taken[entry.output]}'s already.")
        except ValueError as error:
            batch.problems.append(f"{file}, entry {number}: {error}")
        else:
            taken[entry.output] = number
            batch.entries.append(entry)
    return batch


def _entry(number: int, values: Any, presets: Mapping[str, Preset], beside: Path, folder: Path) -> Entry:
    from studio.compare.matrix import weights_here  # brings numpy, which `list` does without

    if not isinstance(values, dict):
        raise ValueError(f"it must hold `key: value` lines, got a {type(values).__name__}.")
    for key in values:
        if key not in KEYS:
            raise ValueError(f"unknown key {key!r}. {did_you_mean(key, KEYS)}")
    preset = preset_for(str(values.get("method", "")), values.get("preset"), presets)
    given = values.get("request") or {}
    if not isinstance(given, dict):
        raise ValueError(f"request must hold `key: value` lines, got a {type(given).__name__}.")
    request = request_with(preset.request, placed(type(preset.request), given, beside))
    preset.check(request)
    if missing := weights_here(preset):
        raise ValueError(missing)
    output = folder / _output_name(number, values.get("output"), preset)
    spec = JobSpec(secrets.token_urlsafe(16), preset.key, preset.method.name, request, preset.recipe, output)
    return Entry(number, spec, given)


def _output_name(number: int, name: Any, preset: Preset) -> str:
    if name is None:
        return f"{number:03d}-{preset.method.name}-{preset.name}.mp4"
    if not isinstance(name, str) or not name.lower().endswith(".mp4") or len(name) < 5:
        raise ValueError(f"output must be the name of an .mp4 file, got {name!r}.")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"output must lie in the folder of the batch, got {name!r}.")
    return name
