"""The contract between the studio and a method: requests, fields, steps, clips, weights, recipes.

Standard library only, so that the page can describe every method without importing torch.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

REPOSITORY = Path(__file__).resolve().parents[1]  # where relative paths of weights begin
Number = int | float
LARGEST = 1e300  # of any number; what is no number is not smaller
FieldKind = Literal["text", "number", "slider", "choice", "switch", "image", "camera_path"]


@dataclass(frozen=True)
class FieldInfo:
    """How one request field is shown and checked; `advanced` fields start folded away, `help` is a short sentence."""

    kind: FieldKind
    help: str
    label: str = ""
    minimum: Number | None = None
    maximum: Number | None = None
    step: Number | None = None
    choices: tuple[Any, ...] = ()  # words; of a number, the few values that the weights know
    lines: int = 1
    max_length: int | None = None
    required: bool = False
    advanced: bool = False
    inspected: bool = False  # pictures: the method can show what it sees of it, see `Method.inspector`
    chooses: str = ""  # pictures: the field that a click on one of those sights fills
    consent: str = ""  # pictures: the sentence a person agrees to once before using a picture of their own
    each: tuple[str, ...] = ()  # camera paths: names for one view; `choices` are those for all views together
    views: str = ""  # camera paths: the field that counts the views


def text(
    help: str,
    *,
    default: str = "",
    label: str = "",
    lines: int = 3,
    max_length: int = 1000,
    required: bool = False,
    advanced: bool = False,
) -> Any:
    """A line or paragraph of words, at most `max_length` characters."""
    info = FieldInfo("text", help, label, lines=lines, max_length=max_length, required=required, advanced=advanced)
    return field(default=default, metadata={"info": info})


def number(
    default: Number, help: str, *, label: str = "", minimum: Number | None = None, maximum: Number | None = None,
    advanced: bool = False,
) -> Any:  # fmt: skip
    """A number typed in."""
    info = FieldInfo("number", help, label, minimum=minimum, maximum=maximum, advanced=advanced)
    return field(default=default, metadata={"info": info})


def slider(
    default: Number, minimum: Number, maximum: Number, help: str, *, step: Number = 1, label: str = "",
    advanced: bool = False,
) -> Any:  # fmt: skip
    """A number in [minimum, maximum]."""
    info = FieldInfo("slider", help, label, minimum=minimum, maximum=maximum, step=step, advanced=advanced)
    return field(default=default, metadata={"info": info})


def choice(default: str, choices: tuple[str, ...], help: str, *, label: str = "", advanced: bool = False) -> Any:
    """One of a few names."""
    return field(
        default=default, metadata={"info": FieldInfo("choice", help, label, choices=choices, advanced=advanced)}
    )


def switch(default: bool, help: str, *, label: str = "", advanced: bool = False) -> Any:
    """On or off."""
    return field(default=default, metadata={"info": FieldInfo("switch", help, label, advanced=advanced)})


def image(
    help: str, *, label: str = "", required: bool = True, inspected: bool = False, chooses: str = "", consent: str = ""
) -> Any:
    """A picture, given as a path on this machine; None when absent."""
    info = FieldInfo("image", help, label, required=required, inspected=inspected, chooses=chooses, consent=consent)
    return field(default=None, metadata={"info": info})


def camera_path(
    default: str, help: str, *, label: str = "", choices: tuple[str, ...] = (), each: tuple[str, ...] = (),
    views: str = "", advanced: bool = False,
) -> Any:  # fmt: skip
    """A path for all views by name (`choices`), or one per view between semicolons: a name (`each`) or a
    RealEstate10K file (*.txt). `views` is the field that counts them."""
    info = FieldInfo("camera_path", help, label, choices=choices, advanced=advanced, each=each, views=views)
    return field(default=default, metadata={"info": info})


def path_entries(words: str) -> list[str]:
    """The paths that a camera_path field holds: one for all views, or one for each."""
    return [entry.strip() for entry in words.split(";") if entry.strip()]


def is_camera_file(entry: str) -> bool:
    """A RealEstate10K file rather than a name. No other file of this machine is opened for a visitor."""
    return entry.lower().endswith(".txt")


@dataclass
class Request:
    """What a person can ask of a method. Every value is checked here, once; deeper code trusts it."""

    def __post_init__(self) -> None:
        for name, info in request_fields(type(self)).items():
            _check(name, getattr(self, name), info)


def request_fields(request: type[Request]) -> dict[str, FieldInfo]:
    """Field name -> FieldInfo, in the order declared."""
    return {f.name: f.metadata["info"] for f in dataclasses.fields(request) if "info" in f.metadata}


def request_from(request: type[Request], values: Mapping[str, Any]) -> Request:
    """Build a request from plain values. ValueError names an unknown field and the nearest known one."""
    known = request_fields(request)
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known fields: {', '.join(known)}."
            raise ValueError(f"{name!r:.60} is not a setting of this method.{hint}")
    return request(**values)


def label_of(name: str, info: FieldInfo) -> str:
    """What people read of a field."""
    return info.label or name.replace("_", " ").capitalize()


def _check(name: str, value: Any, info: FieldInfo) -> None:
    label = label_of(name, info)
    if info.kind == "text":
        if not isinstance(value, str):
            raise ValueError(f"{label} must be text, got {type(value).__name__}.")
        if info.required and not value.strip():
            raise ValueError(f"{label} is empty. Write what should happen in the video.")
        if re.search("[\ud800-\udfff]", value):
            raise ValueError(f"{label} holds half of a character, which no file can hold. Type it again.")
        if info.max_length and len(value) > info.max_length:
            raise ValueError(f"{label} has {len(value):,} characters; at most {info.max_length:,} fit. Shorten it.")
    elif info.kind in ("number", "slider"):
        if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST < value < LARGEST:
            raise ValueError(f"{label} must be a number, got {value!r:.40}.")
        low, high = info.minimum, info.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError(f"{label} must be {_span(low, high)}, got {_digits(value)}.")
    elif info.kind == "choice" and value not in info.choices:
        raise ValueError(f"{label} must be one of {', '.join(info.choices)}, got {value!r:.60}.")
    elif info.kind == "image":
        if value is None and info.required:
            raise ValueError(f"{label} is missing. Add a picture.")
        if value is not None and not Path(value).is_file():
            raise ValueError(f"{label}: there is no file at {Path(value).name!r:.60}. Add the picture again.")
    elif info.kind == "switch" and not isinstance(value, bool):
        raise ValueError(f"{label} must be on or off, got {value!r:.60}.")


def _span(low: Number | None, high: Number | None) -> str:
    if low is not None and high is not None:
        return f"between {_digits(low)} and {_digits(high)}"
    return f"at least {_digits(low)}" if low is not None else f"at most {_digits(high or 0)}"


def _digits(number: Number) -> str:
    """All of a whole number, as it must be typed."""
    return str(int(number)) if abs(number) < 1e15 and float(number).is_integer() else f"{number:g}"


@dataclass(frozen=True)
class Step:
    """One denoising step done. `index` counts from 1; `preview` is uint8 [frames, height, width, 3] or None."""

    index: int
    total: int
    preview: Any = None


class StopRequested(Exception):
    """Raised by `on_step` when the job was cancelled; a pipeline lets it pass."""


OnStep = Callable[[Step], None]


@dataclass(frozen=True)
class Camera:
    """From where one frame is seen. `pose`: camera-to-world, 4x4 row by row, x right, y down, z forward.

    `lens`: fx, fy, cx, cy as fractions of the picture's width and height.
    """

    pose: tuple[float, ...]
    lens: tuple[float, ...]


@dataclass
class Clip:
    """One video. `frames` uint8 [frames, height, width, 3]; `name` tells several clips of one job apart.

    `cameras`: that of every frame, where the method has them; the clips of one job then share one world.
    """

    frames: Any
    fps: Number
    name: str = ""
    cameras: tuple[Camera, ...] = ()


@runtime_checkable
class Pipeline(Protocol):
    """encode_prompt -> encode_reference -> prepare_latents -> denoise -> decode; one job at a time."""

    def __call__(self, request: Any, on_step: OnStep) -> list[Clip]: ...


@dataclass(frozen=True)
class Sight:
    """One thing a method found in a picture: `picture` uint8 [height, width, 3], exactly as its network will see it.

    `choice` is what choosing this one puts into the field that `FieldInfo.chooses` names; `first` marks the one that
    is taken when nobody chooses.
    """

    picture: Any
    label: str
    choice: Any = None
    first: bool = False


@runtime_checkable
class Inspector(Protocol):
    """Looks at the picture of a request field before anything is generated. ValueError says what is wrong with it."""

    def __call__(self, field: str, picture: Path) -> list[Sight]: ...


Stage = Literal["encode", "denoise", "decode"]


@dataclass(frozen=True)
class Component:
    """One part of a method: what to build and where its weights are.

    `source` is a folder in diffusers layout (config.json + safetensors), relative to the repository, absolute,
    or `hub:owner/name@revision:subfolder`. `builder` is "package.module:Class", imported only in the worker.
    `kind` "module" holds tensors; "files" (tokenizer, scheduler) is loaded with `from_pretrained`.
    `base` is a second folder, of a network that this one was made from: it gives the tensors that `source` lacks, and
    is held once for all components that name it.
    """

    name: str
    builder: str
    source: str
    stages: tuple[Stage, ...] = ("denoise",)
    kind: Literal["module", "files"] = "module"
    dtype: str = ""  # "" follows the registry's rule table; else "float32" | "bfloat16" | "float16"
    base: str = ""

    @property
    def folders(self) -> tuple[Component, ...]:
        """Itself, and its base as a component of its own."""
        own = dataclasses.replace(self, base="")
        return (own, dataclasses.replace(own, source=self.base)) if self.base else (own,)


@dataclass(frozen=True)
class Recipe:
    """The components of a method and the pipeline, "package.module:Class", that is called with them by name."""

    method: str
    pipeline: str
    components: tuple[Component, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ablation:
    """The paper's idea switched off by a change of the request: `off` is merged over the fields."""

    name: str
    label: str
    help: str
    off: Mapping[str, Any]
    steps: str = ""  # the field that counts the steps when it is off, where that is another one


@dataclass(frozen=True)
class Lineup:
    """Videos of one request worth seeing side by side, made by one click. `members`: label -> changes of it."""

    name: str
    label: str
    help: str
    members: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Terms:
    """One download of full weights as a person must know it before agreeing: nothing is fetched before that.

    `url` is where it is published, `bytes` the size of the download (0: not known), `condition` a short sentence that
    the licence's name does not say. `covers`: how the `Component.source`s begin that come from it.
    """

    name: str
    url: str
    bytes: int
    licence: str
    licence_url: str = ""
    non_commercial: bool = False
    condition: str = ""
    covers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """Files as their authors publish them.

    `source`: `hub:owner/name@revision:path`, `https://...#sha256=...`, or `hand:file name` for what only a browser can
    fetch. `files`: patterns below the path of a hub source; none: the path itself is the file.
    """

    source: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conversion:
    """How published files become `folder`, below which presets name their weights; run once after the download.

    `convert`, "package.module:function", is called with a path for each of `sources`, `output` and the `options`.
    """

    folder: str
    convert: str
    sources: Mapping[str, Published]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A method as data. `weights` is a dataclass of sources; `recipe` turns it into components, torch not imported."""

    name: str
    title: str
    summary: str
    paper: str
    request: type[Request]
    weights: type
    recipe: Callable[[Any], Recipe]
    ablations: tuple[Ablation, ...] = ()
    note: str = ""
    check: Callable[[Any, Any], None] | None = None  # (weights, request): ValueError if these weights cannot make it
    terms: tuple[Terms, ...] = ()  # of the full weights
    conversions: tuple[Conversion, ...] = ()
    inspector: Callable[[Any], Recipe] | None = None  # (weights): an `Inspector` in place of the pipeline
    choices: Callable[[Any], Mapping[str, tuple[Any, ...]]] | None = None  # (weights): what they leave to choose from
    compared: Mapping[str, Any] = field(default_factory=dict)  # merged over requests that are compared
    lineups: tuple[Lineup, ...] = ()
    cameras: Callable[[Any], tuple[tuple[Camera, ...], ...]] | None = None  # (request): of every view and frame


def check_frames(num_frames: int, known: tuple[int, ...]) -> None:
    """ValueError with the nearest clip length that the weights make."""
    if num_frames not in known:
        nearest = min(known, key=lambda frames: abs(frames - num_frames))
        lengths = f"{known[0]}" if len(known) == 1 else f"one of {', '.join(map(str, known))}"
        raise ValueError(f"Frames must be {lengths} with these weights, got {num_frames}. Try {nearest}.")
