"""Weights as they compute, whatever format they rest in to take less memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def in_full(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """A weight at rest in float8 or in torchao's int8 as `dtype`; any other as it is."""
    if hasattr(weight, "qdata"):
        scaled: Any = weight
        return scaled.dequantize(dtype)
    return weight.to(dtype) if weight.dtype.itemsize == 1 else weight
