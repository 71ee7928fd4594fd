"""How strongly each step follows the prompt: classifier-free guidance weights over the steps.

`dynamic` is the schedule in the code of CogVideoX, RepVideo and EchoVideo. It was meant to rise smoothly, but is fed
the raw timestep (999..0) where a step index was intended, so it jumps between 1 and 1 + scale from step to step. The
authors' videos were made with it. `smooth` is the same curve on the step index. `constant` is the plain kind.
"""

from __future__ import annotations

import math

EXPONENT = 5.0


def guidance_weights(schedule: str, scale: float, timesteps: list[int], period: int | None = None) -> list[float]:
    """One weight per step, in double precision. `period`: the divisor of the authors' curve, else the step count.

    RepVideo's own configuration fixes it to 50 whatever the number of steps; EchoVideo uses the number of steps.
    """
    steps = len(timesteps)
    if schedule == "constant":
        return [float(scale)] * steps
    if schedule == "dynamic":
        return [_raised_cosine(scale, (steps - t) / (period or steps)) for t in timesteps]
    if schedule == "smooth":
        return [_raised_cosine(scale, (i + 1) / steps) for i in range(steps)]
    raise ValueError(f"The guidance schedule must be dynamic, smooth or constant, got {schedule!r}.")


def _raised_cosine(scale: float, position: float) -> float:
    return 1 + scale * (1 - math.cos(math.pi * position**EXPONENT)) / 2
