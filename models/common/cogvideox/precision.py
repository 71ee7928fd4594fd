"""In which type matrix products run."""

from __future__ import annotations

from typing import Literal

import torch

ComputeDtype = Literal["", "bfloat16"]


def computing(dtype: ComputeDtype, device: torch.device) -> torch.autocast:
    """bfloat16 matrix products when asked for and on a CPU; elsewhere the weights' own type decides."""
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bfloat16" and device.type == "cpu")
