"""CustomVideoX's third idea, entity region-aware enhancement (ERAE): more of the picture where the subject is.

Where the video's tokens look at the prompt's words for the subject is where the subject is being drawn. Over blocks l
of the middle third, heads and subject tokens E,

    A_l = mean_{heads, e in E} softmax_text( Q_video K_text^T / sqrt(d) )[e],      A = mean_l A_l,

A is averaged over the steps (EMA), blurred 3x3 in each frame, and scaled to 0..1 over the clip. The region is

    M = 1[A > mean + deviation]  (hard)   or   clip((A - mean) / (2 deviation), 0, 1)  (soft),

and M log(lambda_in) + (1 - M) log(lambda_out) joins the bias of every video query on the picture's keys. Step i uses
the map of step i-1, so attention stays in one fused pass.

That the words' most active regions steer the picture's influence by the attention bias, in latent space and without a
mask from the user, is the paper's (arXiv:2502.06527, section 4.3); layers, thresholds and factors are ours.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

EMA = 0.5
ACTIVE = (0.1, 0.8)  # the part of the steps, s in 0..1, in which the region acts
HEADS_AT_ONCE = 8  # full-size maps have 17,550 x 226 entries a head


class EntityMap:
    """Sees the attention of chosen blocks and says where the subject is. Lives as long as one job."""

    def __init__(self, tokens: list[int], layers: int, grid: tuple[int, int, int], rows: int = -1) -> None:
        """`tokens`: places of the subject in the prompt; `grid`: frames, rows, columns of the video's tokens;
        `rows`: the item of the batch that has the prompt."""
        self.tokens, self.grid, self.rows = tokens, grid, rows
        self.layers = range(layers // 3, max(2 * layers // 3, layers // 3 + 1))
        self._seen: list[Tensor] = []
        self._average: Tensor | None = None

    @torch.no_grad()
    def see(self, query: Tensor, key: Tensor) -> None:
        """One block's queries of the video and keys of the text, [batch, heads, tokens, head_dim]."""
        query, key = query[self.rows], key[self.rows]
        total: Tensor | float = 0.0
        for start in range(0, len(query), HEADS_AT_ONCE):
            part = slice(start, start + HEADS_AT_ONCE)
            logits = query[part] * query.shape[-1] ** -0.5 @ key[part].transpose(-1, -2)
            total = total + logits.float().softmax(-1)[..., self.tokens].mean(-1).sum(0)
        self._seen.append(torch.as_tensor(total) / len(query))

    def finish_step(self) -> None:
        """Join what this step's blocks showed to the average over the steps."""
        if not self._seen:
            return
        newest = torch.stack(self._seen).mean(0)
        self._average = newest if self._average is None else EMA * self._average + (1 - EMA) * newest
        self._seen.clear()

    def heat(self) -> Float[Tensor, "frames rows columns"] | None:
        """The map so far, 0..1 over the clip; None before the first step."""
        if self._average is None:
            return None
        grid = self._average.view(self.grid)
        blurred = F.avg_pool2d(grid[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
        low, high = blurred.amin(), blurred.amax()
        return (blurred - low) / (high - low).clamp_min(1e-12)


def region(heat: Tensor, kind: Literal["soft", "hard"] = "soft") -> Tensor:
    """M, the subject's region in 0..1, of the heat's own shape."""
    mean, deviation = heat.mean(), heat.std().clamp_min(1e-4)
    if kind == "hard":
        return (heat > mean + deviation).to(heat)
    return ((heat - mean) / (2 * deviation)).clamp(0, 1)


def region_bias(mask: Tensor, inside: float = 2.0, outside: float = 1.0) -> Tensor:
    """M log(inside) + (1 - M) log(outside), [video_tokens]."""
    return (mask * math.log(inside) + (1 - mask) * math.log(outside)).flatten()


def is_active(position: float) -> bool:
    """Whether the region acts at s = `position`."""
    return ACTIVE[0] <= position <= ACTIVE[1]
