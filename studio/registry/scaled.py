"""Matrices that rest in int8 with a scale per row: tensors of torchao over bytes of a component's buffer.

torchao multiplies by them; that they lie in the shared buffer, and come and go with it, is done here.
"""

from __future__ import annotations

import importlib.util
import math
from typing import TYPE_CHECKING, Any

from studio.events import StudioError
from studio.registry.layout import Slot, aligned

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def require_torchao() -> None:
    """StudioError where it is not installed."""
    if importlib.util.find_spec("torchao") is None:
        raise StudioError(
            "Weights in int8 need torchao, which is not installed.",
            "pip install -r requirements-int8.txt, or set small_weights to float8 or auto.",
        )


def quantize(values: Tensor) -> tuple[Tensor, Tensor]:
    """[rows, columns] -> int8 codes of that shape, and float32 scales [rows, 1]."""
    from torchao.quantization import Int8Tensor, PerRow  # pyright: ignore[reportMissingImports] -- an extra

    made: Any = Int8Tensor.from_hp(values.float(), PerRow())
    return made.qdata, made.scale


def scaled_tensor(codes: Tensor, scales: Tensor, dtype: torch.dtype) -> Any:
    """A matrix that shows itself as `dtype` and is `codes * scales`."""
    from torchao.quantization import Int8Tensor  # pyright: ignore[reportMissingImports] -- an extra

    return Int8Tensor(codes, scales, [1, codes.shape[1]], dtype)


def views(buffer: Tensor, offset: int, slot: Slot) -> tuple[Tensor, Tensor]:
    """Codes and scales of a slot in a buffer that has it at `offset`."""
    import torch

    count = math.prod(slot.entry.shape)
    codes = buffer[offset : offset + count].view(torch.int8).view(slot.entry.shape)
    scales = buffer[offset + aligned(count) : offset + slot.bytes].view(torch.float32).view(-1, 1)
    return codes, scales


def point(tensor: Any, codes: Tensor, scales: Tensor) -> None:
    """Let a scaled tensor be these bytes from now on."""
    tensor.qdata.data, tensor.scale.data = codes, scales
