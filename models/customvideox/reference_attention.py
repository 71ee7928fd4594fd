"""CustomVideoX's first idea, 3D reference attention: a picture's tokens join the space-time attention of every block.

    O = softmax( Q [K_text; K_video; K_reference]^T / sqrt(d) + B ) [V_text; V_video; V_reference]

The network itself encodes the picture: same patch embedding, same blocks, the video branch of the adaptive norms, at
timestep 0 since the picture is clean. B is zero but for (video query, reference key), where it is one number per
query, b_q (time_aware_bias.py, entity_region.py). So no [tokens x tokens] mask is ever made: fused kernels attend
to the two groups of keys apart, and the results are joined by the logarithms of their softmax sums,

    O = O_own + sigmoid(lse_reference + b_q - lse_own) * (O_reference - O_own),

which equals the masked softmax. A b_q of -inf leaves the picture out.

Masks: "joint", where every token sees every token, and "cached", where the picture's rows see only themselves. Then
their keys and values do not depend on the step, and one pass per video serves all steps.

Positions: where a network has rotary ones, the picture stands one frame before the video and one picture's width to
its right, so that no two tokens share a place. Where it has a table, the rows of frame 0 are added. In both cases a
learned vector, "reference type", marks the rows.

What is the paper's (arXiv:2502.06527, section 4.1) and what is ours: README.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.common.cogvideox.rotary import fit_region, region_positions, rotary_table

Rotary = tuple[Tensor, Tensor]  # cos and sin, each [tokens, head_dim]
SMALL = 1024  # keys up to which plain matrix products beat the fused kernel on a CPU, in training and in bfloat16


@dataclass(frozen=True)
class ReferenceMemory:
    """Keys and values of the picture, one pair per block, each [batch, heads, reference_tokens, head_dim]."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    @property
    def tokens(self) -> int:
        return self.keys[0].shape[2]


def attend(
    query: Float[Tensor, "batch heads queries dim"],
    key: Float[Tensor, "batch heads keys dim"],
    value: Float[Tensor, "batch heads keys dim"],
    reference_key: Float[Tensor, "any heads references dim"],
    reference_value: Float[Tensor, "any heads references dim"],
    bias: Float[Tensor, "some queries"] | None = None,
) -> Float[Tensor, "batch heads queries dim"]:
    """Attention over both groups of keys, `bias` added to the reference's logits. A batch of 1 serves all rows."""
    reference_key = reference_key.expand(len(query), -1, -1, -1)
    reference_value = reference_value.expand(len(query), -1, -1, -1)
    if is_small(query, key.shape[2] + reference_key.shape[2]):
        keys, values = torch.cat([key, reference_key], 2), torch.cat([value, reference_value], 2)
        return _small(query, keys, values, reference_key.shape[2], bias)
    if bias is None:
        keys, values = torch.cat([key, reference_key], 2), torch.cat([value, reference_value], 2)
        return F.scaled_dot_product_attention(query, keys, values)
    own, own_sum = _attend_with_sum(query, key, value)
    reference, reference_sum = _attend_with_sum(query, reference_key, reference_value)
    share = torch.sigmoid(reference_sum + bias[:, None] - own_sum)  # of the attention that goes to the picture
    return torch.lerp(own, reference, share[..., None].to(own))


def attend_alone(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention over one group of keys."""
    if is_small(query, key.shape[2]):
        return _small(query, key, value)
    return F.scaled_dot_product_attention(query, key, value)


def is_small(query: Tensor, keys: int) -> bool:
    """Whether plain matrix products are the faster way: few tokens on a CPU, in training or in bfloat16."""
    return query.device.type == "cpu" and keys <= SMALL and (query.requires_grad or query.dtype == torch.bfloat16)


def _small(query: Tensor, key: Tensor, value: Tensor, references: int = 0, bias: Tensor | None = None) -> Tensor:
    """Plain matrix products; `bias` goes on the last `references` keys."""
    logits = query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)
    if bias is not None:
        logits[..., -references:] += bias[:, None, :, None].to(logits)
    return logits.softmax(-1, dtype=value.dtype) @ value


def _attend_with_sum(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Attention, and the logarithm of each query's softmax sum [batch, heads, queries], float32."""
    ops = torch.ops.aten
    if torch.is_grad_enabled() and query.requires_grad:  # the kernels' sums have no derivative
        return _plain_with_sum(query, key, value)
    if query.device.type == "cpu":
        return ops._scaled_dot_product_flash_attention_for_cpu(query, key, value, 0.0, False)
    if query.dtype in (torch.float16, torch.bfloat16):
        return ops._scaled_dot_product_flash_attention(query, key, value, 0.0, False, False)[:2]
    out, total = ops._scaled_dot_product_efficient_attention(query, key, value, None, True)[:2]
    return out, total[..., : query.shape[2]]  # this kernel pads its rows


def _plain_with_sum(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    logits = (query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)).float()
    return logits.softmax(-1).to(value) @ value, logits.logsumexp(-1)


def reference_rotary(config: Any, latent_height: int, latent_width: int, device: torch.device) -> Rotary | None:
    """cos and sin [reference_tokens, head_dim] at frame -1, shifted right by the width; None without rotary ones."""
    if not config.use_rotary_positional_embeddings:
        return None
    patch = config.patch_size
    rows, columns = latent_height // patch, latent_width // patch
    if config.patch_size_t is not None:
        down, across, width = torch.arange(rows), torch.arange(columns), columns
    else:
        region = fit_region(rows, columns, config.sample_height // patch, config.sample_width // patch)
        down, across = region_positions(region, rows, columns)
        width = region[3] - region[1]
    cos, sin = rotary_table(torch.tensor([-1]), down, across + width, head_dim=config.attention_head_dim)
    return cos.to(device), sin.to(device)
