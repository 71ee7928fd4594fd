"""CustomVideoX's second idea, the time-aware attention bias (TAB): how much the picture weighs, step by step.

    gamma(s) = gamma_min + (gamma_max - gamma_min) * 4 s (1 - s),      s = i / (N - 1),  i = 0 .. N-1 the sampling step

and log gamma(s) is added to the logits of every video query on the picture's keys, so that gamma multiplies the
picture's share before the softmax is normalised: 1 is as trained, less is weaker. Weak at both ends, strong in the
middle: early steps lay out the scene, middle ones settle the subject, late ones draw detail and motion.

The parabola over the steps is the paper's (arXiv:2502.06527, section 4.2 and figure 3, which compares it with a fixed
bias); its constants and the logarithm are ours.
"""

from __future__ import annotations

import math
from typing import Literal

Curve = Literal["parabola", "fixed"]


def position(step: int, steps: int) -> float:
    """s of a step, 0 for the first and 1 for the last; the middle where there is one step only."""
    return step / (steps - 1) if steps > 1 else 0.5


def strengths(steps: int, minimum: float = 0.3, maximum: float = 1.0, curve: Curve = "parabola") -> list[float]:
    """gamma of every step. "fixed" is the parabola's mean at every step: as strong in all, without the shape."""
    parabola = [minimum + (maximum - minimum) * 4 * s * (1 - s) for s in (position(i, steps) for i in range(steps))]
    return parabola if curve == "parabola" else [math.fsum(parabola) / steps] * steps
