"""A network larger than the device passes through it block by block: two buffers, one computes while one is filled.

Weights are read from their one buffer in this machine's memory; nothing is copied back, they never change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from studio.registry.devices import Device
from studio.registry.layout import ALIGNMENT, Slot
from studio.registry.residents import Resident
from studio.registry.shells import place_buffers, torch_dtype

BUFFERS = 2


@dataclass(frozen=True)
class Block:
    """One repeated block: its slots in the host buffer, and where each lies in a device buffer."""

    module: nn.Module
    slots: tuple[tuple[Slot, int], ...]
    bytes: int


@dataclass(frozen=True)
class StreamPlan:
    """`rest` stays on the device: what is outside of repeated blocks."""

    resident: Resident
    module: nn.Module
    rest: Block
    blocks: tuple[Block, ...]

    @property
    def bytes(self) -> int:
        """What streaming takes of the device."""
        buffers = sum(shell.buffer_bytes for shell in self.resident.shells)
        return self.rest.bytes + BUFFERS * max(block.bytes for block in self.blocks) + buffers


def plan_streaming(resident: Resident, module: nn.Module) -> StreamPlan | None:
    """None for a network without repeated blocks, or whose blocks are not called as a whole."""
    if not getattr(module, "blocks_are_called", True):
        return None
    slots = {id(resident.tensors[slot.name]): slot for slot in resident.layout.slots if slot.name in resident.tensors}

    def block(part: nn.Module, left: set[int]) -> Block:
        mine = [slots[id(t)] for t in [*part.parameters(), *part.buffers()] if id(t) in left]
        placed, offset = [], 0
        for slot in sorted(set(mine), key=lambda slot: slot.offset):
            placed.append((slot, offset))
            offset += -(-slot.bytes // ALIGNMENT) * ALIGNMENT
        left -= {id(resident.tensors[slot.name]) for slot, _ in placed}
        return Block(part, tuple(placed), offset)

    left = set(slots)
    blocks = tuple(block(part, left) for part in repeated_blocks(module))
    if not blocks:
        return None
    return StreamPlan(resident, module, block(module, left), blocks)


def repeated_blocks(module: nn.Module) -> list[nn.Module]:
    """Members of the outermost module lists, in order of use as far as names tell."""
    found: list[nn.Module] = []
    for child in module.children():
        found += list(child.children()) if isinstance(child, nn.ModuleList) else repeated_blocks(child)
    return found


class Stream:
    """Active from its making until `stop`. Only one job at a time computes with a streamed component."""

    def __init__(self, plan: StreamPlan, device: Device) -> None:
        self._plan = plan
        self._resident = plan.resident
        self._device = device
        assert plan.resident.host is not None, "streamed from this machine's memory"
        self._host: Tensor = plan.resident.host
        size = max(block.bytes for block in plan.blocks)
        memory = device.allocate(plan.rest.bytes + BUFFERS * size)  # all or nothing
        self._rest, *self._buffers = memory.split([plan.rest.bytes] + [size] * BUFFERS)
        self._copies = [device.copier() for _ in range(BUFFERS)]
        self._loaded: list[int | None] = [None] * BUFFERS
        self._handles: list[Any] = []
        copier = device.copier()
        copier.start(self._host, self._rest, _runs(plan.rest))
        copier.wait()
        self._bind(plan.rest, self._rest)
        place_buffers(plan.module, device.torch_device, torch_dtype(plan.resident.compute))
        for number, block in enumerate(plan.blocks):
            self._handles += [
                block.module.register_forward_pre_hook(lambda *_, number=number: self._before(number), prepend=True),
                block.module.register_forward_hook(lambda *_, number=number: self._after(number), always_call=True),
            ]

    def stop(self) -> None:
        """Leave the device; the host buffer stays."""
        for handle in self._handles:
            handle.remove()
        for copier in self._copies:
            copier.finish()
        self._resident.unbind(self._device.torch_device)
        self._buffers.clear()
        del self._rest

    def _before(self, number: int) -> None:
        place = number % BUFFERS
        if self._loaded[place] != number:
            self._load(number)
        self._copies[place].wait()
        self._bind(self._plan.blocks[number], self._buffers[place])

    def _after(self, number: int) -> None:
        self._copies[number % BUFFERS].computed()
        following = (number + 1) % len(self._plan.blocks)
        if self._loaded[following % BUFFERS] != following and following % BUFFERS != number % BUFFERS:
            self._load(following)

    def _load(self, number: int) -> None:
        place, block = number % BUFFERS, self._plan.blocks[number]
        self._copies[place].start(self._host, self._buffers[place], _runs(block))
        self._loaded[place] = number

    def _bind(self, block: Block, buffer: Tensor) -> None:
        from studio.registry.reading import point

        for slot, offset in block.slots:
            point(self._resident.tensors[slot.name], buffer, offset, slot)


def _runs(block: Block) -> list[tuple[int, int, int]]:
    """(start in the host buffer, start in the device buffer, bytes), neighbours joined into one copy."""
    runs: list[list[int]] = []
    for slot, offset in block.slots:
        size = -(-slot.bytes // ALIGNMENT) * ALIGNMENT
        if runs and runs[-1][0] + runs[-1][2] == slot.offset and runs[-1][1] + runs[-1][2] == offset:
            runs[-1][2] += size
        else:
            runs.append([slot.offset, offset, size])
    return [(run[0], run[1], run[2]) for run in runs]
