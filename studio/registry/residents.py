"""A component in memory: one buffer read from disk, at most one copy on the device, and the modules bound to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from studio.registry import scaled
from studio.registry.fetching import Fetch
from studio.registry.files import WeightsFile
from studio.registry.layout import Key, Layout, Slot
from studio.registry.reading import point
from studio.registry.shells import Shell, place_buffers, torch_dtype
from studio.registry.sources import Origin

ShellName = tuple[str, str, str]  # method, component, and what network it is


@dataclass(eq=False)
class Resident:
    """States: absent -> `fetch` -> `host` -> `device` (where memory is separate). Its bytes never change."""

    key: Key
    source: str
    files: Sequence[WeightsFile]
    layout: Layout
    compute: str  # the format it computes in
    host: Tensor | None = None
    device: Tensor | None = None
    fetch: Fetch | None = None
    tensors: dict[str, Tensor] = field(default_factory=dict)  # by name in the files; shared by all shells
    shells: list[Shell] = field(default_factory=list)
    idle: dict[ShellName, list[Shell]] = field(default_factory=dict)
    names: set[tuple[str, str]] = field(default_factory=set)  # method, component
    origins: set[Origin] = field(default_factory=set)
    leases: int = 0  # jobs that compute with it now: it does not move
    users: int = 0  # pipelines that may still ask for it
    last_use: int = 0
    stream: Any = None  # while it passes through the device block by block
    _bound: Tensor | None = None

    @property
    def bytes(self) -> int:
        """Where it computes, the shells' own buffers included."""
        return self.layout.bytes + sum(shell.buffer_bytes for shell in self.shells)

    def shared_tensors(self, module: nn.Module, sources: dict[str, str], device: torch.device) -> dict[str, Tensor]:
        """What is to be the module's own, by its names. `sources`: network's name -> name in the files.

        Until they are bound they are on `device` in name only: a pipeline asks its networks where to put its inputs.
        """
        parameters = dict(module.named_parameters(remove_duplicate=False))
        slots = {slot.name: slot for slot in self.layout.slots}
        for name, source in sources.items():
            if source not in self.tensors:
                tensor = _placeholder(slots[source], device, torch_dtype(self.compute))
                self.tensors[source] = nn.Parameter(tensor, requires_grad=False) if name in parameters else tensor
                if self._bound is not None:
                    point(self.tensors[source], self._bound, slots[source].offset, slots[source])
            assert isinstance(self.tensors[source], nn.Parameter) == (name in parameters), f"{name}: buffer or not"
        return {name: self.tensors[source] for name, source in sources.items()}

    def bind(self, buffer: Tensor, device: torch.device) -> None:
        """Let every shell compute from `buffer`."""
        if self._bound is not buffer:
            for slot in self.layout.slots:
                if slot.name in self.tensors:
                    point(self.tensors[slot.name], buffer, slot.offset, slot)
            self._bound = buffer
        self._place_buffers(device)

    def unbind(self, device: torch.device) -> None:
        """Let go of the buffer. What stands in is NaN everywhere, on the device, and takes no memory to speak of."""
        for slot in self.layout.slots:
            if slot.name in self.tensors:
                if slot.scaled:
                    scaled.point(self.tensors[slot.name], *_placeholder_parts(slot, device))
                else:
                    self.tensors[slot.name].data = _placeholder(slot, device)
        self._bound = None
        self._place_buffers(torch.device("cpu"))

    def _place_buffers(self, device: torch.device) -> None:
        for shell in self.shells:
            place_buffers(shell.module, device, torch_dtype(self.compute))


def _placeholder(slot: Slot, device: torch.device, compute: torch.dtype = torch.float32) -> Tensor:
    if slot.scaled:
        return scaled.scaled_tensor(*_placeholder_parts(slot, device), compute)
    dtype = torch_dtype(slot.format)
    value = float("nan") if dtype.is_floating_point else 0
    return torch.full((), value, dtype=torch.float32, device=device).to(dtype).expand(slot.entry.shape)


def _placeholder_parts(slot: Slot, device: torch.device) -> tuple[Tensor, Tensor]:
    codes = torch.zeros((), dtype=torch.int8, device=device).expand(slot.entry.shape)
    return codes, torch.full((), float("nan"), device=device).expand(slot.entry.shape[0], 1)
