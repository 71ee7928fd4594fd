"""A teacher and a released adapter -> the student, a folder in diffusers layout.

    python -m models.mcm.convert OUTPUT_FOLDER --adapter mcm/animatediff-laion --unet SD15/unet --motion ADAPTER_FOLDER
    python -m models.mcm.convert OUTPUT_FOLDER --adapter mcm/modelscopet2v-laion --unet MODELSCOPE/unet

Writes OUTPUT_FOLDER/unet (the student) and OUTPUT_FOLDER/teacher; `python -m studio weights get mcm/full` fetches and
converts. With `--motion` the teacher is Stable Diffusion
1.5 with AnimateDiff's motion modules, without it ModelScopeT2V. Adapters: the folders of huggingface.co/yhzhai/mcm.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from diffusers import MotionAdapter, UNet2DConditionModel, UNet3DConditionModel, UNetMotionModel

from models.mcm.adapter import merge_adapter


def read_teacher(unet: Path, motion: Path | None, dtype: torch.dtype) -> Any:
    """The network that the adapter was trained on."""
    if motion is None:
        return UNet3DConditionModel.from_pretrained(unet, dtype=dtype)
    spatial = UNet2DConditionModel.from_pretrained(unet, dtype=dtype)
    return UNetMotionModel.from_unet2d(spatial, MotionAdapter.from_pretrained(motion, dtype=dtype))


def convert_release(
    adapter: Path, unet: Path, output: Path, motion: Path | None = None, dtype: str = "float16"
) -> str:
    """Write the teacher and the student below `output`; what was written, in a line."""
    rounded = getattr(torch, dtype)
    student = merge_adapter(read_teacher(unet, motion, torch.float32), adapter)  # merged in float32, rounded once
    student.to(rounded).save_pretrained(output / "unet")
    read_teacher(unet, motion, torch.float32).to(rounded).save_pretrained(output / "teacher")
    return f"teacher and student ({adapter.name} merged)"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m models.mcm.convert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--adapter", type=Path, required=True, help="folder with adapter_config.json")
    parser.add_argument("--unet", type=Path, required=True, help="folder of the teacher's UNet")
    parser.add_argument("--motion", type=Path, help="folder of AnimateDiff's motion adapter, v1-5-2")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float16")
    options = parser.parse_args(argv)
    done = convert_release(options.adapter, options.unet, options.output, options.motion, options.dtype)
    print(f"{done} written to {options.output}")


if __name__ == "__main__":
    main()
