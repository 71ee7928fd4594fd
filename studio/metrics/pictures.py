"""The pictures a clip is compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from studio.metrics.score import NotComparable


def reference_picture(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """NotComparable when it is gone or broken."""
    from models.common.pictures import read_picture

    try:
        return read_picture(path)
    except ValueError as error:
        raise NotComparable("The reference picture is no longer on this machine.") from error
