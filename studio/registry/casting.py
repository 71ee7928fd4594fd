"""Weights that rest in float8 and compute in full: each layer is cast before its forward and let go after.

diffusers' layerwise casting would cast in place, and so replace tensors that several modules share.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

SMALL_FORMATS = (torch.float8_e4m3fn, torch.float8_e5m2)


def cast_when_used(module: nn.Module, compute: torch.dtype) -> None:
    """Give every layer with float8 weights a way to compute in `compute`."""
    for layer in module.modules():
        small = [name for name, p in layer._parameters.items() if p is not None and p.dtype in SMALL_FORMATS]
        if small:
            cast = LayerCast(small, compute)
            layer.register_forward_pre_hook(cast.before)
            layer.register_forward_hook(cast.after, always_call=True)


class LayerCast:
    """Holds the resting weights of one layer while it computes."""

    def __init__(self, names: list[str], compute: torch.dtype) -> None:
        self._names, self._compute = names, compute
        self._resting: dict[str, Any] = {}

    def before(self, layer: nn.Module, _: Any) -> None:
        for name in self._names:
            self._resting[name] = resting = layer._parameters[name]
            assert resting is not None
            layer._parameters[name] = nn.Parameter(resting.to(self._compute), requires_grad=False)

    def after(self, layer: nn.Module, *_: Any) -> None:
        layer._parameters.update(self._resting)
        self._resting.clear()
