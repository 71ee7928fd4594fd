"""Where weights can be: this machine's memory, and a GPU's. Each device allocates, copies and measures."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

GPU_RESERVE = 3 << 29  # 1.5 GiB for CUDA's context and for fragments between allocations
RAM_RESERVE = 1 << 30
HOST_SHARE = 0.5  # of this machine's memory that copies of a GPU's weights may take


Run = tuple[int, int, int]  # start in the host buffer, start in the device's, bytes


class Copier(Protocol):
    """Fills one device buffer again and again."""

    def start(self, host: Tensor, buffer: Tensor, runs: Sequence[Run]) -> None:
        """Begin to copy, after what was told of by `computed`."""
        ...

    def wait(self) -> None:
        """Whatever is computed next sees the copy complete."""
        ...

    def computed(self) -> None:
        """The work that reads the buffer has been handed to the device."""
        ...

    def finish(self) -> None:
        """Return once nothing is being copied."""
        ...


class PlainCopier:
    """Copies at once."""

    def start(self, host: Tensor, buffer: Tensor, runs: Sequence[Run]) -> None:
        for source, target, size in runs:
            buffer[target : target + size].copy_(host[source : source + size])

    def wait(self) -> None:
        pass

    def computed(self) -> None:
        pass

    def finish(self) -> None:
        pass


class SideCopier:
    """Copies on a stream beside the one that computes."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._copied, self._read = torch.cuda.Event(), torch.cuda.Event()
        self.computed()  # the buffer may have been another tensor's a moment ago

    def start(self, host: Tensor, buffer: Tensor, runs: Sequence[Run]) -> None:
        self._stream.wait_event(self._read)
        with torch.cuda.stream(self._stream):
            for source, target, size in runs:
                buffer[target : target + size].copy_(host[source : source + size], non_blocking=True)
            self._copied.record(self._stream)

    def wait(self) -> None:
        torch.cuda.current_stream(self._device).wait_event(self._copied)

    def computed(self) -> None:
        self._read.record(torch.cuda.current_stream(self._device))

    def finish(self) -> None:
        self._stream.synchronize()


class Device(Protocol):
    """`separate`: computing needs the bytes in memory of its own; else it happens where they were read to."""

    name: str
    torch_device: torch.device
    separate: bool

    def compute_budget(self) -> int: ...

    def host_budget(self) -> int: ...

    def allocate_host(self, size: int) -> Tensor:
        """A flat uint8 buffer in this machine's memory."""
        ...

    def allocate(self, size: int) -> Tensor:
        """A flat uint8 buffer where computing happens."""
        ...

    def upload(self, host: Tensor, buffer: Tensor) -> None:
        """Copy, and return once the copy is done."""
        ...

    def moved(self, host: Tensor) -> Tensor:
        """A copy, made the way that places which take tensors over at start-up understand."""
        ...

    def copier(self) -> Copier:
        """Copies that go on while the device computes, where it can do both."""
        ...

    def give_back_cached(self) -> None:
        """Hand memory that the allocator keeps for later back to the system."""
        ...

    def start_peak(self) -> None:
        """Begin a measurement of the most memory in use."""
        ...

    def peak(self) -> tuple[int, int]:
        """Bytes in use now, and the most since `start_peak`."""
        ...


class Cpu:
    """This machine's memory is where computing happens."""

    name, separate = "cpu", False
    torch_device = torch.device("cpu")

    def compute_budget(self) -> int:
        return max(total_memory() - RAM_RESERVE, total_memory() // 2)

    def host_budget(self) -> int:
        return self.compute_budget()

    def allocate_host(self, size: int) -> Tensor:
        return torch.empty(size, dtype=torch.uint8)

    def allocate(self, size: int) -> Tensor:
        return self.allocate_host(size)

    def upload(self, host: Tensor, buffer: Tensor) -> None:
        buffer.copy_(host)

    def moved(self, host: Tensor) -> Tensor:
        return host

    def copier(self) -> Copier:
        return PlainCopier()

    def give_back_cached(self) -> None:
        pass

    def start_peak(self) -> None:
        with contextlib.suppress(OSError):  # elsewhere than Linux the peak is the process's, not the stage's
            Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, the peak of resident memory

    def peak(self) -> tuple[int, int]:
        try:
            lines = Path("/proc/self/status").read_text().splitlines()
            values = {
                line.split(":")[0]: int(line.split()[1]) << 10 for line in lines if line.startswith(("VmHWM", "VmRSS"))
            }
            return values["VmRSS"], values["VmHWM"]
        except (OSError, KeyError):
            import resource

            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
            return peak, peak


class Cuda:
    """A GPU; host buffers are page-locked where that can be had, which makes copies several times faster."""

    name, separate = "cuda", True

    def __init__(self, index: int = 0) -> None:
        self.torch_device = torch.device("cuda", index)

    def compute_budget(self) -> int:
        free, _ = torch.cuda.mem_get_info(self.torch_device)
        return max(free - GPU_RESERVE, free // 2)

    def host_budget(self) -> int:
        return int(total_memory() * HOST_SHARE)

    def allocate_host(self, size: int) -> Tensor:
        buffer = torch.empty(size, dtype=torch.uint8)
        # torch's own pinned allocator rounds up to a power of two: 10 GiB would take 16
        with contextlib.suppress(RuntimeError, AssertionError):  # before a lent GPU is there, nothing can be locked
            runtime: Any = torch.cuda.cudart()
            address = buffer.data_ptr()
            if size and int(runtime.cudaHostRegister(address, size, 0)) == 0:
                weakref.finalize(buffer.untyped_storage(), runtime.cudaHostUnregister, address)
        return buffer

    def allocate(self, size: int) -> Tensor:
        return torch.empty(size, dtype=torch.uint8, device=self.torch_device)

    def upload(self, host: Tensor, buffer: Tensor) -> None:
        buffer.copy_(host, non_blocking=True)
        torch.cuda.current_stream(self.torch_device).synchronize()

    def moved(self, host: Tensor) -> Tensor:
        return host.to(self.torch_device)

    def copier(self) -> Copier:
        return SideCopier(self.torch_device)

    def give_back_cached(self) -> None:
        torch.cuda.empty_cache()

    def start_peak(self) -> None:
        torch.cuda.reset_peak_memory_stats(self.torch_device)

    def peak(self) -> tuple[int, int]:
        return torch.cuda.memory_allocated(self.torch_device), torch.cuda.max_memory_allocated(self.torch_device)


def total_memory() -> int:
    """Bytes this process may use: a container's limit counts, not the machine's size."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(total, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no cgroup, or "max"
        return total
