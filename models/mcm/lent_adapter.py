"""The student for one job: MCM's adapter on a teacher whose weights other jobs share, W + alpha / r * B @ A.

A layer gets its sum when it is first called, because only then are a lent network's weights certain to be in memory;
afterwards it has the teacher's weight again. Needs as much memory as the adapted layers take; a student that is kept
on disk as a whole (convert.py) needs none beside itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from models.common.resting import in_full
from models.mcm.adapter import PREFIX, check_adapter, read_adapter


def update_of(down: Tensor, up: Tensor, scale: float) -> Tensor:
    """The adapter's change of a weight: down [rank, in, ...], up [out, rank, ...] -> [out, in, ...], float32."""
    change = up.float().flatten(1) @ down.float().flatten(1)
    return scale * change.view(len(up), *down.shape[1:])


@contextmanager
def lent_adapter(unet: nn.Module, folder: Path) -> Iterator[None]:
    """`unet` is the student inside, the teacher again afterwards. AdapterError where the adapter does not fit."""
    check_adapter(unet, folder)
    config, tensors = read_adapter(folder)
    scale = config["lora_alpha"] / config["r"]
    adapted = {key.removeprefix(PREFIX).partition(".lora_")[0] for key in tensors}
    own: dict[nn.Module, nn.Parameter] = {}
    sums: dict[nn.Module, nn.Parameter] = {}
    handles: list[Any] = []
    try:
        for name in adapted:
            module = unet.get_submodule(name)
            down, up = (tensors[f"{PREFIX}{name}.lora_{half}.weight"] for half in "AB")

            def add(module: nn.Module, *_: Any, down: Tensor = down, up: Tensor = up) -> None:
                if module not in own:
                    own[module] = weight = module.get_parameter("weight")
                    full = in_full(weight, weight.dtype)
                    sums[module] = nn.Parameter(full + update_of(down, up, scale).to(full), requires_grad=False)
                module._parameters["weight"] = sums[module]  # each time: weights at rest in float8 return after a call

            handles.append(module.register_forward_pre_hook(add))
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, weight in own.items():
            if module._parameters["weight"] is sums[module]:
                module._parameters["weight"] = weight
