"""CVD's released files -> diffusers layout: name tables, strict, nothing left over.

    python -m models.cvd.convert OUTPUT_FOLDER --unet SD15/unet --motion v3_sd15_mm.ckpt --adapter v3_sd15_adapter.ckpt
        --camera CameraCtrl.ckpt --cvd CVD.ckpt

Writes OUTPUT_FOLDER/unet and OUTPUT_FOLDER/pose_encoder. Files are opened with `weights_only=True`.
`python -m studio weights get cvd/full --from FOLDER` fetches what a program can fetch, and converts.
Names: spec_cvd_mcm.md 2.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from models.common.conversion import ConversionError, Renamed, check_names, load_pickle, pick, write_folder
from models.cvd.pose_encoder import CameraPoseEncoder
from models.cvd.unet import CollaborativeUNet

_SLOT = r"((?:down|up)_blocks\.\d+)\.{}\.(\d+)"
_MOTION = _SLOT.format("motion_modules") + r"\.temporal_transformer"
_BLOCK = r"\1.motion_modules.\2.transformer_blocks.\3"

# released name -> our name; checked in this order
MOTION_NAMES: tuple[tuple[str, str], ...] = (
    (_MOTION + r"\.(norm|proj_in|proj_out)\.(weight|bias)", r"\1.motion_modules.\2.\3.\4"),
    (
        _MOTION + r"\.transformer_blocks\.(\d+)\.attention_blocks\.0\.(processor\.qkv_merge\.\w+)",
        _BLOCK + r".attn1.\4",
    ),
    (_MOTION + r"\.transformer_blocks\.(\d+)\.attention_blocks\.0\.pos_encoder\.pe", _BLOCK + r".pos_embed.pe"),
    (_MOTION + r"\.transformer_blocks\.(\d+)\.attention_blocks\.0\.(to_\w+(?:\.0)?\.\w+)", _BLOCK + r".attn1.\4"),
    (_MOTION + r"\.transformer_blocks\.(\d+)\.attention_blocks\.1\.(to_\w+(?:\.0)?\.\w+)", _BLOCK + r".attn2.\4"),
    (_MOTION + r"\.transformer_blocks\.(\d+)\.norms\.0\.(\w+)", _BLOCK + r".norm1.\4"),
    (_MOTION + r"\.transformer_blocks\.(\d+)\.norms\.1\.(\w+)", _BLOCK + r".norm2.\4"),
    (_MOTION + r"\.transformer_blocks\.(\d+)\.ff_norm\.(\w+)", _BLOCK + r".norm3.\4"),
    (_MOTION + r"\.transformer_blocks\.(\d+)\.(ff\.net\..+)", _BLOCK + r".\4"),
)
CROSS_VIEW_NAMES = ((_SLOT.format("epi_modules") + r"\.epi_transformer\.(.+)", r"\1.motion_modules.\2.cross_view.\3"),)
BASE_NAMES = ((r"((?:conv_in|time_embedding|down_blocks|mid_block|up_blocks|conv_norm_out|conv_out)\..+)", r"\1"),)
SAME_POSITIONS = _MOTION + r"\.transformer_blocks\.\d+\.attention_blocks\.1\.pos_encoder\.pe"  # one shared table here
ADAPTER_NAME = r"(.+)\.processor\.(to_(?:q|k|v|out))_lora\.(down|up)\.weight"


def rename(names: Iterable[str], table: Iterable[tuple[str, str]]) -> Renamed:
    """Our name -> released name, and the names the table does not know."""
    renamed, table = Renamed(), tuple(table)
    for name in names:
        if re.fullmatch(SAME_POSITIONS, name):
            renamed.ignored.append(name)
            continue
        match = next((m for pattern, _ in table if (m := re.fullmatch(pattern, name))), None)
        if match is None:
            renamed.unexpected.append(name)
            continue
        target = next(target for pattern, target in table if pattern == match.re.pattern)
        renamed.sources[match.expand(target)] = (name, None)
    return renamed


def network_sources(
    base: Mapping[str, Tensor],
    motion: Mapping[str, Tensor],
    camera: Mapping[str, Tensor],
    cross_view: Mapping[str, Tensor],
    config: Mapping[str, Any],
) -> tuple[Renamed, dict[str, Tensor]]:
    """The name table of all four files, checked both ways against the network of `config`, and their tensors."""
    with torch.device("meta"):
        expected = CollaborativeUNet(**config).state_dict()
    whole, tensors = Renamed(), {}
    files = ((base, BASE_NAMES), (motion, MOTION_NAMES), (camera, MOTION_NAMES), (cross_view, CROSS_VIEW_NAMES))
    for file, table in files:
        part = rename(file, table)
        whole.sources |= part.sources
        whole.ignored += part.ignored
        whole.unexpected += part.unexpected
        tensors |= file
    check_names(whole, tensors, expected, "CVD network")
    return whole, tensors


def convert_tensors(
    base: Mapping[str, Tensor],
    motion: Mapping[str, Tensor],
    camera: Mapping[str, Tensor],
    cross_view: Mapping[str, Tensor],
    config: Mapping[str, Any],
) -> dict[str, Tensor]:
    """All tensors of the network under our names, in memory; for tests and small networks."""
    renamed, tensors = network_sources(base, motion, camera, cross_view, config)
    return {name: pick(tensors, source) for name, source in renamed.sources.items()}


def pose_encoder_sources(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Renamed:
    """The pose encoder keeps the released names; checked both ways against the module of `config`."""
    with torch.device("meta"):
        expected = CameraPoseEncoder(**config).state_dict()
    renamed = Renamed(sources={name: (name, None) for name in tensors})
    check_names(renamed, tensors, expected, "camera pose encoder")
    return renamed


def merge_adapter(base: Mapping[str, Tensor], adapter: Mapping[str, Tensor], scale: float = 1.0) -> dict[str, Tensor]:
    """AnimateDiff v3's domain adapter folded into the spatial attentions: W + scale * up @ down.

    Source: CVD tools/merge_lora2unet.py, which uses no alpha either.
    """
    pairs: dict[str, dict[str, Tensor]] = {}
    for name, tensor in adapter.items():
        match = re.fullmatch(ADAPTER_NAME, name)
        if match is None:
            raise ConversionError(f"The adapter holds {name!r}, which is not a low-rank part of an attention layer.")
        path, layer, part = match.groups()
        pairs.setdefault(f"{path}.{layer}{'.0' if layer == 'to_out' else ''}.weight", {})[part] = tensor
    merged = dict(base)
    for name, parts in pairs.items():
        if name not in base:
            raise ConversionError(f"The adapter changes {name!r}, which the network does not have.")
        if parts.keys() != {"down", "up"}:
            raise ConversionError(f"The adapter holds only the {next(iter(parts))!r} half for {name!r}.")
        delta = parts["up"].float() @ parts["down"].float()
        if delta.shape != base[name].shape:
            raise ConversionError(
                f"The adapter's change of {name!r} is {tuple(delta.shape)}, the weight {tuple(base[name].shape)}."
            )
        merged[name] = (base[name].float() + scale * delta).to(base[name].dtype)
    return merged


def read_part(path: Path, name: str | None = None) -> dict[str, Tensor]:
    """A released file: the dictionary `name` inside it (optional for "state_dict"), or the file itself."""
    content = load_pickle(path)
    if name is None:
        return content.get("state_dict", content)
    if name not in content:
        raise ConversionError(f"{path} holds no {name!r}; its top-level names are {', '.join(map(str, content))}.")
    return content[name]


def convert_release(
    unet: Path,
    motion: Path,
    camera: Path,
    cvd: Path,
    output: Path,
    adapter: Path | None = None,
    unet_config: Mapping[str, Any] | None = None,
    pose_config: Mapping[str, Any] | None = None,
) -> str:
    """Write `unet` and `pose_encoder` below `output`; what was written, in a line. Configs: the released sizes."""
    unet_config, pose_config = dict(unet_config or {}), dict(pose_config or {})
    base = load_file(next(iter(sorted(unet.glob("*.safetensors"))), unet / "model.safetensors"))
    if adapter:
        base = merge_adapter(base, read_part(adapter))
    renamed, tensors = network_sources(
        base,
        read_part(motion),
        read_part(camera, "attention_processor_state_dict"),
        read_part(cvd, "unet_trainable_dict"),
        unet_config,
    )
    poses = read_part(camera, "pose_encoder_state_dict")
    pose_sources = pose_encoder_sources(poses, pose_config)
    with torch.device("meta"):
        described, encoder = CollaborativeUNet(**unet_config), CameraPoseEncoder(**pose_config)
    write_folder(output / "unet", described, tensors, renamed)
    write_folder(output / "pose_encoder", encoder, poses, pose_sources)
    dropped = f"{len(renamed.ignored)} repeated tables dropped"
    return f"unet: {len(renamed.sources)} tensors, {dropped}; pose_encoder: {len(poses)} tensors"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m models.cvd.convert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--unet", type=Path, required=True, help="folder of Stable Diffusion 1.5's UNet")
    parser.add_argument("--motion", type=Path, required=True, help="v3_sd15_mm.ckpt")
    parser.add_argument("--adapter", type=Path, help="v3_sd15_adapter.ckpt, unless already merged into the UNet")
    parser.add_argument("--camera", type=Path, required=True, help="CameraCtrl.ckpt")
    parser.add_argument("--cvd", type=Path, required=True, help="CVD.ckpt")
    options = parser.parse_args(argv)
    files = (options.unet, options.motion, options.camera, options.cvd)
    print(convert_release(*files, options.output, options.adapter))


if __name__ == "__main__":
    main()
