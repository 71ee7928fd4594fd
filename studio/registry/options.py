"""What a studio trades between memory, speed and exactness. No torch: the settings and the page read it too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Options:
    """`changes_pixels` tells which of them alter the result; the rest gives the same video up to rounding.

    small_weights: large matrices of the denoising network rest in "float8", or in "int8" with a scale per row, which
    needs torchao, and compute in full. Empty: as they compute.
    vae_slicing: one video of a batch at a time. vae_tiling: one part of a picture at a time, blended at the seams.
    streaming: a network too large for the device passes through it block by block.
    attention: a backend of diffusers' dispatcher; empty for torch's own choice.
    compile: repeated blocks are compiled; slow at first, then a quarter faster.
    block_cache: 0 for off; else how much the first block may change while the rest is not computed again.
    """

    small_weights: str = ""
    vae_slicing: bool = False
    vae_tiling: bool = False
    streaming: bool = True
    attention: str = ""
    compile: bool = False
    block_cache: float = 0.0

    @property
    def changes_pixels(self) -> tuple[str, ...]:
        """Words for what makes a video differ from the plain one."""
        chosen = {
            f"{self.small_weights} weights": bool(self.small_weights),
            "tiled decoding": self.vae_tiling,
            "first-block cache": self.block_cache > 0,
            f"{self.attention} attention": self.attention == "sage",
        }
        return tuple(words for words, on in chosen.items() if on)


MEMORY_PRESETS: dict[str, dict[str, Any]] = {
    "24 GB": {"small_weights": "float8", "vae_slicing": True, "vae_tiling": True},
    "48 GB": {"vae_slicing": True, "vae_tiling": True},
    "80 GB+": {},
}


def for_memory(options: Options, preset: str, bytes: int) -> Options:
    """`options` with a preset's savings beside their own; "auto" takes the one for a GPU of this size, "" none."""
    if preset == "auto":
        preset = "24 GB" if bytes < 40 << 30 else "48 GB" if bytes < 70 << 30 else "80 GB+"
    savings = MEMORY_PRESETS[preset] if preset else {}
    return replace(options, **{name: value for name, value in savings.items() if not getattr(options, name)})
