"""How much memory a stage needs beside its weights: a first guess, then what was measured here, kept in a file."""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio.registry.files import write_json

# Bytes per output pixel, half precision; from CogVideoX-5B and its VAE at 49x480x720 (2.5 GiB, 12 GiB untiled).
FIRST_GUESSES = {"encode": 4, "denoise": 160, "decode": 760}
TILED_DECODE = 190
FULL_PRECISION = 2  # times the above on a CPU
MARGIN = 1.1  # of a measurement: kernels differ a little with shapes
POINTS_KEPT = 16  # per stage; sizes in use are few
FILE = "activations.json"
logger = logging.getLogger(__name__)


def request_volume(request: Any, arguments: Mapping[str, Any]) -> int:
    """Pixels that a request computes: frames x height x width x videos, 0 when no one says.

    What the request leaves open is in the recipe's `arguments`: some weights make one size only.
    """
    sides = [getattr(request, name, None) or arguments.get(name) for name in ("num_frames", "height", "width")]
    if not all(isinstance(side, int) and side > 0 for side in sides):
        return 0
    return math.prod(side for side in sides if side) * (getattr(request, "num_views", None) or 1)


class Activations:
    """(method, stage, circumstances) -> points (volume, bytes). Only ever grows more certain, never shared."""

    def __init__(self, cache_dir: Path | None) -> None:
        self._file = cache_dir / FILE if cache_dir else None
        self._lock = threading.Lock()
        self._points: dict[str, list[list[int]]] = {}
        try:
            if self._file:
                known = json.loads(self._file.read_text(encoding="utf-8"))
                self._points = {
                    str(name): [[int(volume), int(size)] for volume, size in points] for name, points in known.items()
                }
        except (OSError, ValueError, AttributeError, TypeError):
            self._points = {}  # absent or damaged: it will be learnt again

    def predict(self, name: str, volume: int) -> int | None:
        """Bytes for a volume, in proportion to the nearest one measured; None where nothing was, or for no volume."""
        with self._lock:
            points = [*self._points.get(name, [])]
        if not points or volume <= 0:
            return None
        if exact := [size for at, size in points if at == volume]:
            return int(max(exact) * MARGIN)
        near = min(points, key=lambda point: abs(math.log(point[0] / volume)) if point[0] else math.inf)
        scale = volume / near[0] if near[0] else 1.0
        return int(near[1] * (scale if scale > 1 else (1 + scale) / 2) * MARGIN)  # part of it does not shrink

    def learn(self, name: str, volume: int, size: int) -> None:
        """One measurement; the largest of a volume counts."""
        with self._lock:
            points = self._points.setdefault(name, [])
            same = next((point for point in points if point[0] == volume), None)
            if same is not None:
                if size <= same[1]:
                    return
                same[1] = size
            else:
                points.append([volume, size])
                del points[:-POINTS_KEPT]
            self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        try:
            write_json(self._file, self._points)
        except OSError as error:
            logger.warning("measured memory is not kept: %s", error)


def first_guess(stage: str, volume: int, device: str, tiled: bool) -> int:
    """Bytes for a stage that was never measured here."""
    per_pixel = TILED_DECODE if stage == "decode" and tiled else FIRST_GUESSES.get(stage, 0)
    return volume * per_pixel * (FULL_PRECISION if device == "cpu" else 1)
