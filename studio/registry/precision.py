"""Which number format a component computes in, and which of its tensors are kept in a smaller or larger one.

Names of formats are torch's; torch itself is not imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from models.method import Component

# What the authors ran, on a GPU. bfloat16 where nothing is said: it cannot overflow.
GPU_FORMATS = {
    "T5EncoderModel": "bfloat16",  # one copy for three methods; in float16 its `wo` would have to stay float32
    "UNetMotionModel": "float16",
    "UNet3DConditionModel": "float16",
    "AutoencoderKL": "float16",
    "CLIPTextModel": "float16",
}
DEFAULT_GPU_FORMAT = "bfloat16"
CPU_FORMAT = "float32"
SMALL = {"float8": "float8_e4m3fn", "int8": "int8"}  # formats for keeping, not for computing
BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1, "int8": 1}
NEVER_SMALL = (
    "embed", "norm", "shared", "gating", "proj_in", "proj_out", "conv_in", "conv_out", "time_", "pos_", "scale_shift",
    "ofs_",
)  # fmt: skip

FormatOf = Callable[[str, Sequence[int]], str]  # (name of a floating tensor, its shape) -> its format in memory


def compute_format(component: Component, device: str) -> str:
    """float32 on a CPU, where float16 is a thousand times slower; else what was asked for, or the rule table's."""
    if device == "cpu":
        return component.dtype if component.dtype in ("float32", "bfloat16") else CPU_FORMAT
    return component.dtype or GPU_FORMATS.get(component.builder.partition(":")[2], DEFAULT_GPU_FORMAT)


def format_rule(compute: str, small: str = "", in_float32: Sequence[str] = ()) -> FormatOf:
    """The format of every floating tensor: `compute`, or for large matrices the one that `small` names.

    `in_float32`: parts of names that overflow in float16 (T5's `wo`), kept in float32 when computing in float16.
    """
    kept = re.compile("|".join(map(re.escape, NEVER_SMALL)))
    exceptions = set(in_float32) if compute == "float16" else set()

    def format_of(name: str, shape: Sequence[int]) -> str:
        if exceptions.intersection(name.split(".")):
            return "float32"
        matrix = name.endswith(".weight") and (len(shape) == 2 or (small == "float8" and len(shape) > 2))
        return SMALL[small] if small and matrix and not kept.search(name) else compute

    return format_of
