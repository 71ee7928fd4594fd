"""Released checkpoints into diffusers layout: safe reading, strict name checks, writing shard by shard."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors.torch import save_file
from torch import Tensor

Part = Callable[[Tensor], Tensor]
Source = tuple[str, Part | None]  # the name in the checkpoint, and which part of that tensor (None: all)

SHARD_BYTES = 4 * 2**30
STEM = "diffusion_pytorch_model"


class ConversionError(ValueError):
    """A checkpoint whose names or shapes are not the network's."""


@dataclass
class Renamed:
    """New name -> source, the names of other parts (`ignored`), and the names nobody knows (`unexpected`)."""

    sources: dict[str, Source] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)


def load_pickle(path: Path, mmap: bool = True) -> dict[str, Any]:
    """A torch file opened with `weights_only=True`, tensors mapped from disk unless it has torch's first format."""
    if not path.is_file():
        raise ValueError(f"There is no file {path}.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap and is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ConversionError(
            f"{path} cannot be read as plain tensors: {str(error).splitlines()[0]} "
            "A file that needs more would run code of its author and is not opened here."
        ) from error


def pick(tensors: Mapping[str, Tensor], source: Source) -> Tensor:
    """The tensor a source describes, contiguous."""
    name, part = source
    tensor = tensors[name]
    return (part(tensor) if part else tensor).contiguous()


def check_names(
    renamed: Renamed, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str, only: str = ""
) -> None:
    """ConversionError listing every missing, unexpected and misshapen name. `only`: a prefix of the new names."""
    wanted = {name: tensor.shape for name, tensor in expected.items() if name.startswith(only)}
    problems = {
        "missing": sorted(wanted.keys() - renamed.sources.keys()),
        "unexpected": sorted(renamed.unexpected)
        + sorted(renamed.sources[name][0] for name in renamed.sources.keys() - wanted.keys()),
    }
    problems["wrong shape"] = [
        f"{name} {tuple(shape)} instead of {tuple(wanted[name])}"
        for name, source in renamed.sources.items()
        if name in wanted and (shape := _shape(tensors, source)) != wanted[name]
    ]
    found = {kind: names for kind, names in problems.items() if names}
    if found:
        lines = [f"The checkpoint does not fit the {what}."]
        for kind, names in found.items():
            lines += [f"{len(names)} {kind}:", *(f"  {name}" for name in names)]
        raise ConversionError("\n".join(lines))


def write_folder(
    folder: Path,
    described: Any,
    tensors: Mapping[str, Tensor],
    renamed: Renamed,
    shard_bytes: int = SHARD_BYTES,
    stem: str = STEM,
) -> list[Path]:
    """Config and shards, one shard in memory at a time.

    `described`: a diffusers module, perhaps on meta, or a transformers config, whose files have the `stem` "model".
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = _plan(renamed, tensors, shard_bytes)
    names = [f"{stem}.safetensors"]
    if len(shards) > 1:
        names = [f"{stem}-{i + 1:05d}-of-{len(shards):05d}.safetensors" for i in range(len(shards))]
    for name, shard in zip(names, shards, strict=True):
        save_file({key: pick(tensors, renamed.sources[key]) for key in shard}, folder / name, {"format": "pt"})
    if len(shards) > 1:
        total = sum(_bytes(tensors, source) for source in renamed.sources.values())
        index = {
            "metadata": {"total_size": total},
            "weight_map": {key: name for name, shard in zip(names, shards, strict=True) for key in shard},
        }
        (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index, indent=1))
    save_config = getattr(described, "save_config", None) or described.save_pretrained
    save_config(folder)
    return [folder / name for name in names]


def _plan(renamed: Renamed, tensors: Mapping[str, Tensor], shard_bytes: int) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    used = 0
    for name, source in renamed.sources.items():
        size = _bytes(tensors, source)
        if shards[-1] and used + size > shard_bytes:
            shards.append([])
            used = 0
        shards[-1].append(name)
        used += size
    return shards


def _shape(tensors: Mapping[str, Tensor], source: Source) -> torch.Size:
    name, part = source
    described = torch.empty_like(tensors[name], device="meta")
    return (part(described) if part else described).shape


def _bytes(tensors: Mapping[str, Tensor], source: Source) -> int:
    return _shape(tensors, source).numel() * tensors[source[0]].element_size()
