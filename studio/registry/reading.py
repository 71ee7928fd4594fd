"""Bytes from disk into a component's buffer: straight where the format is the same, else through a small buffer.

Not mapped: a file that is replaced while in use must change neither pixels nor end the process. Runs in a background
thread, so it touches neither modules nor any state of torch.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from studio.registry import scaled
from studio.registry.files import WeightsError, WeightsFile, identity_of, shown
from studio.registry.layout import FILE_FORMATS, Layout, Slot

CHUNK_BYTES = 16 << 20
_reused = threading.local()  # one buffer per reading thread: fresh memory is read into ten times slower


def fill(buffer: Tensor, layout: Layout, files: Sequence[WeightsFile], on_bytes: Callable[[int], None]) -> None:
    """Read every slot. `on_bytes` hears of each chunk read and may raise to give up."""
    for index, file in enumerate(files):
        slots = sorted((slot for slot in layout.slots if slot.file == index), key=lambda slot: slot.entry.start)
        with file.path.open("rb", buffering=0) as stream:
            for slot in slots:
                if slot.scaled:
                    _read_scaled(stream.fileno(), file, slot, buffer, on_bytes)
                else:
                    _read_slot(stream.fileno(), file, slot, _tensor_at(buffer, slot.offset, slot), on_bytes)
            if identity_of(file.path, os.fstat(stream.fileno())) != file.identity:
                raise WeightsError(f"The weights file {shown(file.path)} was changed while it was read.", "Try again.")


def point(tensor: Tensor, buffer: Tensor, offset: int, slot: Slot) -> None:
    """Let a tensor of the network be the part of `buffer` at `offset` from now on."""
    if slot.scaled:
        scaled.point(tensor, *scaled.views(buffer, offset, slot))
    else:
        tensor.data = _tensor_at(buffer, offset, slot)


def _tensor_at(buffer: Tensor, offset: int, slot: Slot) -> Tensor:
    return buffer[offset : offset + slot.bytes].view(getattr(torch, slot.format)).view(slot.entry.shape)


def hash_file(file: WeightsFile, on_bytes: Callable[[int], None]) -> str:
    """sha256 of a whole file."""
    digest = hashlib.sha256()
    chunk = memoryview(_staging(CHUNK_BYTES).numpy())  # type: ignore[arg-type]
    with file.path.open("rb", buffering=0) as stream:
        while count := stream.readinto(chunk):
            digest.update(chunk[:count])
            on_bytes(count)
    return digest.hexdigest()


def _read_slot(handle: int, file: WeightsFile, slot: Slot, target: Tensor, on_bytes: Callable[[int], None]) -> None:
    stored = getattr(torch, FILE_FORMATS[slot.entry.dtype])
    size = slot.entry.end - slot.entry.start
    start = file.data_start + slot.entry.start
    same = stored == target.dtype
    flat = target.view(-1)
    into = flat.view(torch.uint8) if same else None
    for done in range(0, size, CHUNK_BYTES):
        count = min(CHUNK_BYTES, size - done)
        chunk = into[done : done + count] if into is not None else _staging(CHUNK_BYTES)[:count]
        _read_exactly(handle, file, chunk, start + done)
        if into is None:
            values = chunk.view(stored)
            flat[done // stored.itemsize :][: len(values)].copy_(values)
        on_bytes(count)


def _read_scaled(handle: int, file: WeightsFile, slot: Slot, buffer: Tensor, on_bytes: Callable[[int], None]) -> None:
    """As many whole rows at a time as the small buffer takes."""
    stored = getattr(torch, FILE_FORMATS[slot.entry.dtype])
    codes, scales = scaled.views(buffer, slot.offset, slot)
    count, columns = slot.entry.shape
    row_bytes = columns * stored.itemsize
    step = max(1, CHUNK_BYTES // row_bytes)
    for row in range(0, count, step):
        chunk = _staging(max(CHUNK_BYTES, row_bytes))[: min(step, count - row) * row_bytes]
        _read_exactly(handle, file, chunk, file.data_start + slot.entry.start + row * row_bytes)
        rows = slice(row, row + step)
        codes[rows], scales[rows] = scaled.quantize(chunk.view(stored).view(-1, columns))
        on_bytes(len(chunk))


def _read_exactly(handle: int, file: WeightsFile, chunk: Tensor, offset: int) -> None:
    view = memoryview(chunk.numpy())  # type: ignore[arg-type]
    filled = 0
    while filled < len(view):
        count = os.preadv(handle, [view[filled:]], offset + filled)
        if not count:
            raise WeightsError(f"The weights file {shown(file.path)} became shorter while it was read.", "Try again.")
        filled += count


def _staging(size: int) -> Tensor:
    if getattr(_reused, "buffer", None) is None or len(_reused.buffer) < size:
        _reused.buffer = torch.empty(size, dtype=torch.uint8)
    return _reused.buffer
