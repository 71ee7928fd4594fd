"""EchoVideo's released parts: the transformer needs only checking, the vision tower is cut out of SigLIP.

python -m models.echovideo.convert check TRANSFORMER_FOLDER          names and shapes, nothing is written
python -m models.echovideo.convert vision SIGLIP_FOLDER OUTPUT_FOLDER
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import SiglipVisionConfig, SiglipVisionModel

from models.common.conversion import Renamed, check_names, write_folder
from models.echovideo.transformer import EchoVideoTransformer3DModel

VISION = "vision_model."
LEFT_OUT = ("text_model.", "logit_scale", "logit_bias")  # SigLIP's other half


def transformer_sources(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Renamed:
    """The released names are the network's own: ConversionError on any other, on a missing one, on a wrong shape."""
    with torch.device("meta"):
        expected: Any = EchoVideoTransformer3DModel.from_config(dict(config))
    renamed = Renamed(sources={name: (name, None) for name in tensors})
    check_names(renamed, tensors, expected.state_dict(), "EchoVideo network")
    return renamed


def rename_vision(names: Iterable[str]) -> Renamed:
    """SigLIP's names -> the vision model's, whose own prefix is gone since transformers 5."""
    renamed = Renamed()
    for name in names:
        if name.startswith(VISION):
            renamed.sources[name.removeprefix(VISION)] = (name, None)
        else:
            (renamed.ignored if name.startswith(LEFT_OUT) else renamed.unexpected).append(name)
    return renamed


def vision_sources(tensors: Mapping[str, Tensor], config: SiglipVisionConfig) -> Renamed:
    """The vision tower of a SigLIP checkpoint, strict."""
    with torch.device("meta"):
        expected = SiglipVisionModel(config)
    renamed = rename_vision(tensors)
    check_names(renamed, tensors, expected.state_dict(), "SigLIP vision tower")
    return renamed


def convert_vision(siglip: Path, output: Path) -> Renamed:
    """The vision tower of the SigLIP checkpoint in the folder `siglip`, as a folder of its own."""
    config = json.loads((siglip / "config.json").read_text(encoding="utf-8"))
    vision = SiglipVisionConfig(**config.get("vision_config", config))
    tensors = FolderTensors(siglip)
    renamed = vision_sources(tensors, vision)
    write_folder(output, vision, tensors, renamed, stem="model")
    return renamed


def convert_release(transformer: Path, siglip: Path, output: Path) -> Renamed:
    """Check the released transformer, which is used as it is, then write the vision tower."""
    check_transformer(transformer)
    return convert_vision(siglip, output)


def check_transformer(folder: Path) -> Renamed:
    """ConversionError unless every name and shape of the folder is the network's."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return transformer_sources(FolderTensors(folder), config)


class FolderTensors(Mapping[str, Tensor]):
    """The tensors of a folder's safetensors files, read one at a time."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("*.safetensors"))
        if not paths:
            raise ValueError(f"{folder} holds no safetensors file.")
        self.files = [safe_open(path, framework="pt") for path in paths]
        self.places = {name: file for file in self.files for name in file.keys()}  # noqa: SIM118, not a dict

    def __getitem__(self, name: str) -> Tensor:
        return self.places[name].get_tensor(name)

    def __iter__(self):
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


def main(argv: list[str] | None = None) -> None:
    """Check or convert one part and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m models.echovideo.convert", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check")
    check.add_argument("folder", type=Path)
    vision = commands.add_parser("vision")
    vision.add_argument("folder", type=Path)
    vision.add_argument("output", type=Path)
    options = parser.parse_args(argv)
    if options.command == "check":
        renamed = check_transformer(options.folder)
        print(f"transformer: all {len(renamed.sources)} tensors are the network's")
        return
    renamed = convert_vision(options.folder, options.output)
    print(f"vision tower: {len(renamed.sources)} tensors, {len(renamed.ignored)} of the text tower left out")


if __name__ == "__main__":
    main()
