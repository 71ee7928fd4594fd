"""Rotary position tables for the video tokens of CogVideoX transformers.

Computed here and not by diffusers: in newer versions its grid for CogVideoX 1.0 ends at stop * (n - 1) / n, where the
networks were trained with start + (stop - start) * (n - 1) / n. They differ whenever the region does not start at 0.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

Region = tuple[int, int, int, int]  # top, left, bottom, right


def rotary_for(
    config: Any, latent_frames: int, latent_height: int, latent_width: int, device: torch.device | None = None
) -> tuple[Tensor, Tensor] | None:
    """cos and sin [tokens, head_dim] for a transformer config and a latent size; None without rotary positions."""
    if not config.use_rotary_positional_embeddings:
        return None
    patch = config.patch_size
    rows, columns = latent_height // patch, latent_width // patch
    if config.patch_size_t is not None:  # CogVideoX 1.5: the token's own index on every axis
        frames = -(-latent_frames // config.patch_size_t)
        axes = (torch.arange(frames), torch.arange(rows), torch.arange(columns))
    else:
        region = fit_region(rows, columns, config.sample_height // patch, config.sample_width // patch)
        axes = (torch.arange(latent_frames), *region_positions(region, rows, columns))
    cos, sin = rotary_table(*axes, head_dim=config.attention_head_dim)
    return cos.to(device), sin.to(device)


def fit_region(rows: int, columns: int, base_rows: int, base_columns: int) -> Region:
    """The part of the training grid a token grid is laid over: its aspect ratio, as large as fits, centred."""
    if rows / columns > base_rows / base_columns:
        height, width = base_rows, round(base_rows / rows * columns)
    else:
        height, width = round(base_columns / columns * rows), base_columns
    top, left = round((base_rows - height) / 2), round((base_columns - width) / 2)
    return top, left, top + height, left + width


def region_positions(region: Region, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Row and column positions of the tokens in the training grid, the end of the region excluded."""
    top, left, bottom, right = region

    def spread(start: int, stop: int, count: int) -> Tensor:
        steps = torch.arange(count, dtype=torch.float64) * ((stop - start) / count) + start
        return steps.float()  # rounded once, as numpy's linspace does

    return spread(top, bottom, rows), spread(left, right, columns)


def rotary_table(frames: Tensor, rows: Tensor, columns: Tensor, head_dim: int) -> tuple[Tensor, Tensor]:
    """cos and sin [tokens, head_dim]: a quarter of the channels for time, three eighths each for rows and columns."""
    count = (len(frames), len(rows), len(columns))
    time = _angles(frames, head_dim // 4)[:, None, None].expand(*count, -1)
    down = _angles(rows, head_dim // 8 * 3)[None, :, None].expand(*count, -1)
    across = _angles(columns, head_dim // 8 * 3)[None, None].expand(*count, -1)
    angles = torch.cat([time, down, across], -1).flatten(0, 2)
    return angles.cos(), angles.sin()


def _angles(positions: Tensor, dim: int) -> Tensor:
    """[positions, dim] float32, each angle twice in a row."""
    frequencies = 1.0 / 10000.0 ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim)
    return torch.outer(positions.float(), frequencies).repeat_interleave(2, 1)
