"""Where each tensor of a component lies in its one buffer, known from file headers before a byte is read."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from studio.registry.files import TensorEntry, WeightsFile
from studio.registry.precision import BYTES, SMALL, FormatOf

ALIGNMENT = 256  # bytes; what GPU kernels read fastest
FILE_FORMATS = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2", "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8",
    "BOOL": "bool",
}  # fmt: skip
FLOATING = frozenset(("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"))


@dataclass(frozen=True)
class Key:
    """What makes two components one: `digest` of the content, and the number format.

    Not the class: modules of several classes are bound to the same tensors.
    """

    digest: str
    format: str


@dataclass(frozen=True)
class Slot:
    """One tensor: where it lies in which file, and where and in which format in the buffer. Offsets in bytes.

    Of a `scaled` one the int8 codes come first, then a float32 per row.
    """

    name: str
    file: int
    entry: TensorEntry
    format: str
    offset: int
    bytes: int
    scaled: bool = False


@dataclass(frozen=True)
class Layout:
    """Slots in the files' order, which keeps a block's tensors side by side."""

    slots: tuple[Slot, ...]
    bytes: int

    @property
    def file_bytes(self) -> int:
        """What has to be read."""
        return sum(slot.entry.end - slot.entry.start for slot in self.slots)


def lay_out(files: Sequence[WeightsFile], format_of: FormatOf) -> Layout:
    """The layout of all tensors in `files`."""
    slots: list[Slot] = []
    offset = 0
    for index, file in enumerate(files):
        for name, entry in sorted(file.entries.items(), key=lambda item: item[1].start):
            floating = entry.dtype in FLOATING
            format = format_of(name, entry.shape) if floating else FILE_FORMATS[entry.dtype]
            scaled = floating and format == SMALL["int8"]
            size = math.prod(entry.shape) * BYTES[format] if floating else entry.end - entry.start
            size = aligned(size) + entry.shape[0] * BYTES["float32"] if scaled else size
            slots.append(Slot(name, index, entry, format, offset, size, scaled))
            offset += aligned(size)
    return Layout(tuple(slots), offset)


def aligned(bytes: int) -> int:
    """Up to where the next tensor may begin."""
    return -(-bytes // ALIGNMENT) * ALIGNMENT


def combine_digests(digests: Sequence[str]) -> str:
    """One digest for a set of files, whatever their order."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()
