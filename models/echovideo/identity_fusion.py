"""EchoVideo's idea: who the person is enters the words, so that the video follows both without copying the picture.

    identity = resampler(recogniser's vector)            16 tokens, what does not change with pose and light
    face     = face_info_proj([identity; face picture])  over the token axis, 212 -> 196
    text     = text_proj([face_proj(face); text])        over the token axis, 422 -> 226

The result has as many tokens as the text had and takes its place in the transformer. It depends on neither noise nor
timestep: it is computed once per video, where the authors' code computes it at every step.

Source: EchoVideo, arXiv:2501.13452; bytedance/EchoVideo model/echovideo_transformer_3d.py and model/resampler.py.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PerceiverAttention(nn.Module):
    """Learned queries look at the input and at themselves."""

    def __init__(self, dim: int, dim_head: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        inner = dim_head * heads
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_kv = nn.Linear(dim, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, dim, bias=False)

    def forward(self, inputs: Tensor, queries: Tensor) -> Tensor:
        """[batch, tokens, dim] and [batch, queries, dim] -> [batch, queries, dim]."""
        inputs, queries = self.norm1(inputs), self.norm2(queries)
        key, value = self.to_kv(torch.cat([inputs, queries], 1)).chunk(2, -1)
        query, key, value = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (self.to_q(queries), key, value)
        )
        # the softmax runs in float32 whatever the network's type, as the authors have it
        attended = F.scaled_dot_product_attention(query.float(), key.float(), value.float()).to(queries.dtype)
        return self.to_out(attended.transpose(1, 2).flatten(2))


class IdentityResampler(nn.Module):
    """A few learned queries condense the recogniser's vector, given as equal rows, into identity tokens."""

    def __init__(
        self,
        dim: int,
        depth: int,
        dim_head: int,
        heads: int,
        queries: int,
        input_dim: int,
        output_dim: int,
        ff_mult: int,
    ) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(1, queries, dim) / dim**0.5)
        self.proj_in = nn.Linear(input_dim, dim)
        self.proj_out = nn.Linear(dim, output_dim)
        self.norm_out = nn.LayerNorm(output_dim)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    PerceiverAttention(dim, dim_head, heads),
                    nn.Sequential(
                        nn.LayerNorm(dim),
                        nn.Linear(dim, dim * ff_mult, bias=False),
                        nn.GELU(),
                        nn.Linear(dim * ff_mult, dim, bias=False),
                    ),
                ]
            )
            for _ in range(depth)
        )

    def forward(self, rows: Tensor) -> Tensor:
        """[batch, rows, input_dim] -> [batch, queries, output_dim]."""
        inputs = self.proj_in(rows)
        queries = self.latents.expand(len(rows), -1, -1)
        for attention, feed_forward in self.layers:  # pyright: ignore[reportGeneralTypeIssues]
            queries = queries + attention(inputs, queries)
            queries = queries + feed_forward(queries)
        return self.norm_out(self.proj_out(queries))


class IdentityFusion(nn.Module):
    """The fusing layers of an EchoVideo transformer, under the names of the released weights."""

    def build_fusion(
        self, resampler: IdentityResampler, face_tokens: int, face_dim: int, text_tokens: int, text_dim: int
    ) -> None:
        """Add the layers to `self`."""
        identity_tokens = resampler.latents.shape[1]
        self.face_prj_wofc = resampler
        self.face_info_proj = nn.Linear(face_tokens + identity_tokens, face_tokens)
        self.face_proj = nn.Linear(face_dim, text_dim)
        self.text_proj = nn.Linear(face_tokens + text_tokens, text_tokens)

    def fuse_text(self, text: Tensor, face: Tensor, identity: Tensor) -> Tensor:
        """text [batch, text_tokens, text_dim], face picture [batch, face_tokens, face_dim], identity rows
        [batch, rows, identity_dim] -> [batch, text_tokens, text_dim]."""
        face = torch.cat([self.face_prj_wofc(identity), face], 1)  # identity first
        face = self.face_proj(_over_tokens(self.face_info_proj, face))
        return _over_tokens(self.text_proj, torch.cat([face, text], 1))  # face first


def _over_tokens(linear: nn.Linear, tokens: Tensor) -> Tensor:
    return linear(tokens.transpose(1, 2)).transpose(1, 2)
