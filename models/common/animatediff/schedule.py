"""The noise levels AnimateDiff was trained with, which are not those in Stable Diffusion 1.5's scheduler file."""

from __future__ import annotations

from typing import Any

NOISE_LEVELS: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "steps_offset": 1,
    "clip_sample": False,
}
