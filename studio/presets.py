"""presets/<method>/<name>.yaml -> Preset: a complete, valid request and its weights.

Imports methods by name, never torch.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from models.method import Method, Recipe, Request, request_fields
from studio.typed import typed

PRESET_DIR = Path("presets")
FAVOURITE = "pocket"  # the preset a method opens with: it runs anywhere
T = TypeVar("T")
SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the former where it was built: ten times faster
LAST = 50  # place of a preset that names none
KEYS = ("method", "title", "place", "weights", "request", "examples")
EXAMPLE_KEYS = ("title", "request", "video")


@dataclass(frozen=True)
class Example:
    """A starting point to click on; `videos` are its recorded result, several where one scene has several views."""

    title: str
    request: Request
    videos: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Preset:
    """A method with weights and a request that is ready to run. `name` is the file's, `key` adds the method's.

    The page shows presets by `place`, lowest first, and opens on the first.
    """

    name: str
    title: str
    method: Method
    weights: Any
    request: Request
    origin: Path
    examples: tuple[Example, ...] = ()
    place: int = LAST

    @property
    def key(self) -> str:
        return f"{self.method.name}/{self.name}"

    @property
    def recipe(self) -> Recipe:
        return self.method.recipe(self.weights)

    def check(self, request: Request) -> None:
        """ValueError if these weights cannot make what is asked."""
        if self.method.check is not None:
            self.method.check(self.weights, request)


def load_presets(folder: Path = PRESET_DIR, packages: Sequence[str] = ("models",)) -> dict[str, Preset]:
    """Every preset under `folder` by "method/name", by place and each method's favourite first. ValueError names file
    and key."""
    files = sorted(folder.glob("*/*.yaml"), key=lambda file: (file.parent.name, file.stem != FAVOURITE, file.stem))
    if not files:
        raise ValueError(f"There are no presets in {folder}. Start the studio from the folder that holds presets/.")
    presets = sorted((load_preset(file, packages) for file in files), key=lambda preset: preset.place)
    return {preset.key: preset for preset in presets}


def offered(presets: Mapping[str, Preset], names: Sequence[str]) -> dict[str, Preset]:
    """Those of `names`, in their order; all for none. ValueError names one that is not there."""
    for name in names:
        if name not in presets:
            raise ValueError(f"There is no preset {name!r:.60}. {did_you_mean(name, presets)}")
    return {name: presets[name] for name in names or presets}


def preset_for(method: str, name: str | None = None, presets: Mapping[str, Preset] | None = None) -> Preset:
    """A method's preset, its favourite by default. ValueError lists what there is."""
    presets = load_presets() if presets is None else presets
    methods = list(dict.fromkeys(preset.method.name for preset in presets.values()))
    if method not in methods:
        raise ValueError(f"There is no method {method!r:.60}. {did_you_mean(method, methods)}")
    of_method = {preset.name: preset for preset in presets.values() if preset.method.name == method}
    if name is None:
        return next(iter(of_method.values()))
    if name not in of_method:
        raise ValueError(f"{method} has no preset {name!r:.60}. {did_you_mean(name, of_method)}")
    return of_method[name]


def load_preset(file: Path, packages: Sequence[str] = ("models",)) -> Preset:
    """One preset, checked to the last key."""
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not valid YAML: {' '.join(str(error).split())}.") from error
    _check_keys(content, KEYS, str(file))
    method = _find_method(content.get("method", ""), packages, file)
    if file.parent.name != method.name:
        raise ValueError(f"{file}: method is {method.name!r}, so the file belongs in the folder {method.name}/.")
    weights = _typed(method.weights, content.get("weights") or {}, f"{file}: weights")
    opening = placed(method.request, content.get("request") or {}, file.parent)
    request = _typed(method.request, opening, f"{file}: request")
    examples = tuple(
        _example(entry, request, file, f"{file}: examples[{index}]")
        for index, entry in enumerate(_listed(content.get("examples"), f"{file}: examples"))
    )
    place = content.get("place", LAST)
    if not isinstance(place, int):
        raise ValueError(f"{file}: place must be a whole number, got {place!r:.60}.")
    title = content.get("title") or method.title
    preset = Preset(file.stem, title, method, weights, request, file, examples, place)
    for place, asked in [("request", request), *((f"examples[{i}]", e.request) for i, e in enumerate(examples))]:
        try:
            preset.check(asked)
        except ValueError as error:
            raise ValueError(f"{file}: {place}: {error}") from error
    return preset


def request_with(request: Request, values: Mapping[str, Any], place: str = "") -> Request:
    """The request with some fields changed, types checked. ValueError names the field."""
    _check_keys(values, [field.name for field in dataclasses.fields(request)], place or "the request")
    return _typed(type(request), dataclasses.asdict(request) | dict(values), place)


def parse_values(request: type[Request], pairs: Iterable[str]) -> dict[str, Any]:
    """`key=value` words as values: text stays as written, the rest is read as YAML."""
    fields = request_fields(request)
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{pair!r:.60} must have the form key=value, for example seed=7.")
        worded = name in fields and fields[name].kind in ("text", "choice", "image", "camera_path")
        try:
            values[name] = value if worded else yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(f"{name}: {value!r:.60} cannot be read as a value.") from error
    return values


def shipped_pictures(preset: Preset, name: str) -> tuple[Path, ...]:
    """The pictures that the preset's own requests name in a field, in their order."""
    requests = [preset.request, *(example.request for example in preset.examples)]
    return tuple(dict.fromkeys(path for request in requests if (path := getattr(request, name)) is not None))


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """A hint: the nearest known name, or those with the word in it, or all."""
    known, word = list(known), str(name)
    near = difflib.get_close_matches(word, known, n=1) or [one for one in known if len(word) > 2 and word in one]
    return f"Did you mean {' or '.join(map(repr, near))}?" if near else f"There are: {', '.join(known)}."


def _find_method(name: object, packages: Sequence[str], file: Path) -> Method:
    for package in packages:
        module = f"{package}.{name}"
        try:
            return importlib.import_module(module).METHOD
        except ModuleNotFoundError as error:
            if error.name != module:  # the method is there, and something it needs is not
                raise ValueError(f"{file}: method {name!r:.60} cannot be imported: {error}.") from error
        except AttributeError as error:
            raise ValueError(f"{file}: {module} has no METHOD, so {name!r:.60} is not a method.") from error
    a_method = f"a method is a package {packages[0]}/<name> with a METHOD"
    raise ValueError(f"{file}: there is no method {name!r:.60}; {a_method}.")


def _listed(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list | None):
        raise ValueError(f"{place} must be a list, got {type(value).__name__}.")
    return value or []


def _example(entry: Any, request: Request, file: Path, place: str) -> Example:
    _check_keys(entry, EXAMPLE_KEYS, place)
    named = entry.get("video") or []
    videos = tuple(file.parent / str(name) for name in (named if isinstance(named, list) else [named]))
    for path in videos:
        if not path.is_file():
            raise ValueError(f"{place}: video: there is no file {path}.")
    asked = placed(type(request), entry.get("request") or {}, file.parent)
    changed = request_with(request, asked, f"{place}: request")
    return Example(entry.get("title") or "", changed, videos)


def placed(request: type[Request], values: Any, folder: Path) -> Any:
    """Pictures named relative to the preset's folder, found from anywhere."""
    pictures = {name for name, info in request_fields(request).items() if info.kind == "image"}
    if not isinstance(values, dict):
        return values
    return {
        name: str(folder / value) if name in pictures and isinstance(value, str) else value
        for name, value in values.items()
    }


def _check_keys(content: Any, known: Iterable[str], place: str) -> None:
    if not isinstance(content, Mapping):
        raise ValueError(f"{place} must hold `key: value` lines, got {type(content).__name__}.")
    for key in content:
        if key not in known:
            raise ValueError(f"{place}: unknown key {key!r:.60}. {did_you_mean(key, known)}")


def _typed(cls: type[T], values: dict[str, Any], place: str) -> T:
    """`cls` built from plain values: known keys, right types, and whatever its own `__post_init__` asks."""
    place = f"{place}: " if place else ""
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    _check_keys(values, known, place.removesuffix(": ") or "the request")
    try:
        return typed(cls, {name: _whole(value) for name, value in values.items()})
    except ValueError as error:
        raise ValueError(f"{place}{error}") from error


def _whole(value: Any) -> Any:
    """7.0 as 7: browsers send every number as a float, and OmegaConf takes an int where a float belongs."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
