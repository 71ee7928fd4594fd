"""How this studio runs: defaults < studio.yaml < environment (QUINTET_*) < flags."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NoReturn

from studio.presets import did_you_mean
from studio.typed import typed

PREFIX = "QUINTET_"
LISTS = ("method_packages", "allowed_hosts", "offer", "fetch")
NOT_NEGATIVE = (
    "max_queue", "max_queue_each", "max_pixels", "max_frames", "max_steps", "memory_gb", "threads", "block_cache",
    "stop_seconds", "replicas", "keep_hours",
)  # fmt: skip


@dataclass
class StudioSettings:
    """Every setting has a flag (`--output-dir`), a variable (`QUINTET_OUTPUT_DIR`) and a key in studio.yaml."""

    output_dir: Path = field(default=Path("outputs"), metadata={"help": "folder for videos and the history"})
    preset_dir: Path = field(default=Path("presets"), metadata={"help": "folder of presets"})
    cache_dir: Path = field(default=Path("~/.cache/quintet"), metadata={"help": "folder for digests of weights files"})
    certificate_dir: Path = field(
        default=Path("~/.config/quintet"), metadata={"help": "folder of the certificate that signs videos"}
    )
    offer: tuple[str, ...] = field(
        default=(),
        metadata={"help": "presets on the page, for example repvideo/pocket,echovideo/pocket; empty for all"},
    )
    fetch: tuple[str, ...] = field(
        default=(),
        metadata={"help": "presets whose terms you accept: their weights are fetched before the page opens"},
    )
    device: Literal["auto", "cpu", "cuda"] = field(
        default="auto", metadata={"help": "auto takes a GPU when there is one"}
    )
    executor: Literal["process", "inline", "zerogpu", "ray"] = field(
        default="process",
        metadata={"help": "process: a worker of its own; inline: in this process; zerogpu: a Space; ray: many GPUs"},
    )
    replicas: int = field(default=0, metadata={"help": "workers of the ray executor; 0 for one per GPU"})
    host: str = field(default="127.0.0.1", metadata={"help": "address to listen on"})
    port: int = field(default=7860, metadata={"help": "port to listen on"})
    login: str = field(
        default="", metadata={"help": "name:password that every visitor must give; rather a variable than a flag"}
    )
    allowed_hosts: tuple[str, ...] = field(
        default=(), metadata={"help": "names besides localhost under which a page on 127.0.0.1 is reached"}
    )
    mcp: bool = field(default=False, metadata={"help": "offer the endpoints to agents too; needs gradio[mcp]"})
    max_queue: int = field(default=20, metadata={"help": "jobs that may wait"})
    max_queue_each: int = field(
        default=0,
        metadata={"help": "jobs one visitor may have waiting; 0: all, or a third where strangers reach the page"},
    )
    max_pixels: int = field(default=0, metadata={"help": "pixels of a frame; 0: what the method makes"})
    max_frames: int = field(default=0, metadata={"help": "frames of a job, all views; 0: what the method makes"})
    max_steps: int = field(default=0, metadata={"help": "steps of a job; 0: what the method makes"})
    max_upload_mb: int = field(default=100, metadata={"help": "size of an uploaded file, in MB"})
    keep_hours: float = field(
        default=0.0,
        metadata={"help": "hours after which results and pictures of visitors are deleted; 0 keeps results"},
    )
    max_picture_megapixels: int = field(default=40, metadata={"help": "size of an uploaded picture, in megapixels"})
    memory_gb: float = field(
        default=0.0, metadata={"help": "memory for weights and computing, in GiB; 0 for what the device has"}
    )
    memory_preset: Literal["auto", "24 GB", "48 GB", "80 GB+"] = field(
        default="auto", metadata={"help": "savings for a GPU of this size; auto looks at the GPU"}
    )
    small_weights: Literal["auto", "float8", "int8"] = field(
        default="auto", metadata={"help": "how large matrices rest; auto: as memory_preset says; int8 needs torchao"}
    )
    attention: str = field(default="", metadata={"help": "attention backend of diffusers; empty for torch's own"})
    compile: bool = field(default=False, metadata={"help": "compile repeated blocks: a slow start, then faster"})
    block_cache: float = field(
        default=0.0, metadata={"help": "skip blocks that change less than this; lossy; 0 computes everything"}
    )
    stop_seconds: float = field(
        default=30.0, metadata={"help": "seconds after Stop in which a worker must answer before it is ended"}
    )
    threads: int = field(default=0, metadata={"help": "CPU threads of a worker; 0 for as many as there are cores"})
    method_packages: tuple[str, ...] = field(default=("models",), metadata={"help": "packages searched for methods"})

    def __post_init__(self) -> None:
        self.output_dir, self.cache_dir = self.output_dir.expanduser(), self.cache_dir.expanduser()
        self.preset_dir, self.certificate_dir = self.preset_dir.expanduser(), self.certificate_dir.expanduser()
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be between 0 and 65535, got {self.port}.")
        for name in NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")
        for name in ("max_upload_mb", "max_picture_megapixels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        name, colon, password = self.login.partition(":")
        if self.login and not (name and colon and password):
            raise ValueError("login must have the form name:password, with neither of them empty.")


def load_settings(
    argv: Sequence[str] = (), file: Path = Path("studio.yaml"), environ: Mapping[str, str] | None = None
) -> StudioSettings:
    """Settings from all four places. ValueError names the place and the key."""
    settings: dict[str, Any] = {}
    environ = os.environ if environ is None else environ
    if file.is_file():
        settings |= _checked(_read_yaml(file), str(file))
    known = {PREFIX + f.name.upper(): f.name for f in fields(StudioSettings)}
    variables = {known[name]: value for name, value in environ.items() if name in known}
    settings |= _checked(variables, "environment")
    arguments, unknown = flag_parser().parse_known_args(list(argv))
    if unknown:
        known_flags = ["--" + f.name.replace("_", "-") for f in fields(StudioSettings)]
        raise ValueError(f"{unknown[0]!r} is not a flag. {did_you_mean(unknown[0], known_flags)}")
    flags = vars(arguments)
    settings |= _checked({name: value for name, value in flags.items() if value is not None}, "flags")
    return _build(settings, "settings")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, as a ValueError, instead of printing its usage and ending the process."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message[:1].upper()}{message[1:]}.")


def flag_parser(**options: Any) -> Parser:
    """One flag per setting."""
    parser = Parser(allow_abbrev=False, **options)
    for f in fields(StudioSettings):
        parser.add_argument("--" + f.name.replace("_", "-"), metavar="VALUE", help=f.metadata["help"])
    return parser


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        from omegaconf import OmegaConf

        content = OmegaConf.to_container(OmegaConf.load(file))
    except Exception as error:  # yaml's errors share no public base with OmegaConf's
        raise ValueError(f"{file} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} must hold `key: value` lines, got a {type(content).__name__}.")
    return {str(name): value for name, value in content.items()}


def _checked(values: dict[str, Any], place: str) -> dict[str, Any]:
    """The values if each is a known, well-typed setting, so that a mistake is blamed on the place it is in."""
    known = [f.name for f in fields(StudioSettings)]
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"{place}: {name!r} is not a setting. {did_you_mean(name, known)}")
        if name in LISTS and isinstance(value, str):
            values[name] = [part.strip() for part in value.split(",") if part.strip()]
    _build(values, place)
    return values


def _build(values: dict[str, Any], place: str) -> StudioSettings:
    try:
        return typed(StudioSettings, values)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
