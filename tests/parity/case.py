"""What a parity case is, and how errors are measured."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

TOLERANCE = 1e-4  # relative, float32


@dataclass(frozen=True)
class Measure:
    """An error with a tolerance of its own, for what is not a float32 tensor (pictures, bf16 runs)."""

    error: float
    tolerance: float = TOLERANCE


Errors = Mapping[str, float | Measure]


@dataclass(frozen=True)
class Case:
    """One comparison. `run` gets the goldens folder and returns label -> error.

    `needs` are glob patterns under that folder, each of which must match a file; otherwise the case does not apply.
    """

    name: str  # "<method>/<what>"
    needs: tuple[str, ...]
    run: Callable[[Path], Errors]

    def missing(self, goldens: Path) -> list[str]:
        return [pattern for pattern in self.needs if not any(goldens.glob(pattern))]

    def measure(self, goldens: Path) -> dict[str, Measure]:
        with torch.no_grad():
            errors = self.run(goldens)
        if not errors:
            raise AssertionError(f"{self.name} compared nothing.")
        return {label: e if isinstance(e, Measure) else Measure(float(e)) for label, e in errors.items()}


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """The larger of relative L2 and largest difference over largest value; 0 or inf for integers."""
    if actual.shape != expected.shape:
        raise AssertionError(f"shape {tuple(actual.shape)} instead of {tuple(expected.shape)}")
    if not expected.is_floating_point():
        return 0.0 if torch.equal(actual.to(expected.dtype), expected) else math.inf
    a, e = actual.detach().double(), expected.detach().double()
    difference = a - e
    l2 = difference.norm() / e.norm().clamp_min(1e-30)
    largest = difference.abs().max() / e.abs().max().clamp_min(1e-30)
    error = torch.maximum(l2, largest).item()
    return error if math.isfinite(error) else math.inf


def level_error(actual: Tensor, expected: Tensor, share: float = 1e-3) -> Measure:
    """For uint8 pictures: the share of values one level off, at most `share`; inf when any value is further off."""
    if actual.shape != expected.shape:
        raise AssertionError(f"shape {tuple(actual.shape)} instead of {tuple(expected.shape)}")
    difference = (actual.int() - expected.int()).abs()
    if difference.max() > 1:
        return Measure(math.inf, share)
    return Measure((difference > 0).double().mean().item(), share)


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def read_tensors(path: Path) -> dict[str, Tensor]:
    return load_file(path)
