"""A device without a device: memory of its own that is counted, can run short, and can fail at will."""

from __future__ import annotations

import weakref

import torch
from torch import Tensor

from studio.registry.devices import Copier, PlainCopier


class CountingDevice:
    """Counts the bytes really alive on it and on the host. `fail_at`: number of the allocation that fails."""

    name = "counting"
    torch_device = torch.device("cpu")

    def __init__(self, budget: int, host_budget: int = 1 << 30, separate: bool = True) -> None:
        self.separate = separate
        self.budget, self._host_budget = budget, host_budget
        self.live = self.host_live = self.peak_live = self.allocations = self.uploaded = self.returned = 0
        self.fail_at = 0
        self.failures = 1

    def compute_budget(self) -> int:
        return self.budget

    def host_budget(self) -> int:
        return self._host_budget if self.separate else self.budget

    def allocate_host(self, size: int) -> Tensor:
        buffer = self._new(size)
        if not self.separate:
            return self._counted(buffer, size)
        self.host_live += size
        weakref.finalize(buffer.untyped_storage(), self._host_gone, size)
        return buffer

    def allocate(self, size: int) -> Tensor:
        return self._counted(self._new(size), size)

    def upload(self, host: Tensor, buffer: Tensor) -> None:
        self.uploaded += len(host)
        buffer.copy_(host)

    def moved(self, host: Tensor) -> Tensor:
        buffer = self.allocate(len(host))
        self.upload(host, buffer)
        return buffer

    def copier(self) -> Copier:
        return PlainCopier()

    def give_back_cached(self) -> None:
        self.returned += 1

    def start_peak(self) -> None:
        self.peak_live = self.live

    def peak(self) -> tuple[int, int]:
        return self.live, self.peak_live

    def _new(self, size: int) -> Tensor:
        self.allocations += 1
        if self.fail_at and self.fail_at <= self.allocations < self.fail_at + self.failures:
            raise torch.OutOfMemoryError("no memory, on purpose")
        return torch.full((size,), 255, dtype=torch.uint8)  # NaN as a float: what was never written must show

    def _counted(self, buffer: Tensor, size: int) -> Tensor:
        self.live += size
        self.peak_live = max(self.peak_live, self.live)
        weakref.finalize(buffer.untyped_storage(), self._gone, size)
        return buffer

    def _gone(self, size: int) -> None:
        self.live -= size

    def _host_gone(self, size: int) -> None:
        self.host_live -= size


class SmallMemory(CountingDevice):
    """One whose number formats, and so pixels, are a CPU's."""

    name = "cpu"
