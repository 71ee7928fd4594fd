"""Attention through diffusers' dispatcher, for networks whose stock processors call torch directly.

diffusers accepts `set_attention_backend` for CogVideoX and for AnimateDiff's UNet and then changes nothing (0.42.1).
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from diffusers.models.attention_processor import Attention, AttnProcessor2_0, CogVideoXAttnProcessor2_0
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor, nn

HEAD_DIMS = {"sage": (64, 96, 128)}  # others take any multiple of 8 up to 256


class DispatchedCogVideoXAttention:
    """CogVideoX's joint attention of text and video tokens; the same numbers as diffusers' with the native backend."""

    def __init__(self, backend: AttentionBackendName) -> None:
        self._attention_backend = backend  # the names diffusers looks for
        self._parallel_config = None

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,  # [batch, video_tokens, dim]
        encoder_hidden_states: Tensor,  # [batch, text_tokens, dim]
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        text_tokens = encoder_hidden_states.shape[1]
        tokens = torch.cat([encoder_hidden_states, hidden_states], dim=1)
        query, key, value = _project(attn, tokens, tokens)
        if image_rotary_emb is not None:
            for part in (query, key):
                turned: Any = apply_rotary_emb(part[:, text_tokens:], image_rotary_emb, sequence_dim=1)  # pyright: ignore[reportArgumentType] -- its annotation says one tensor, its text two
                part[:, text_tokens:] = turned
        attended = _attend(attn, (query, key, value), attention_mask, self._attention_backend)
        text, video = _output(attn, attended).split([text_tokens, tokens.shape[1] - text_tokens], dim=1)
        return video, text


class DispatchedAttention:
    """Plain attention, as in the transformer layers of Stable Diffusion's and AnimateDiff's networks."""

    def __init__(self, backend: AttentionBackendName) -> None:
        self._attention_backend = backend
        self._parallel_config = None

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,  # [batch, tokens, dim]
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        parts = _project(attn, hidden_states, context)
        attended = _output(attn, _attend(attn, parts, attention_mask, self._attention_backend))
        return attended / attn.rescale_output_factor


def use_backend(network: nn.Module, name: str) -> int:
    """Let the layers that torch's attention serves today use a backend by its diffusers name; how many do.

    ValueError for a name that is not one, or whose library is missing. Processors of a method's own are left alone,
    as are layers that the backend or this plain form cannot compute.
    """
    from diffusers.models.attention_dispatch import _check_attention_backend_requirements

    try:
        backend = AttentionBackendName(name)
    except ValueError as error:
        known = ", ".join(backend.value for backend in AttentionBackendName)
        raise ValueError(f"{name!r} is not an attention backend. There are: {known}.") from error
    try:
        _check_attention_backend_requirements(backend)
    except (RuntimeError, ImportError) as error:
        raise ValueError(f"The attention backend {name!r} cannot be used here: {error}") from error
    changed = 0
    for layer in network.modules():
        if isinstance(layer, Attention) and _fits(layer, name):
            processor: Any = type(layer.processor)
            if processor is CogVideoXAttnProcessor2_0:
                layer.processor = DispatchedCogVideoXAttention(backend)  # pyright: ignore[reportAttributeAccessIssue]
                changed += 1
            elif processor is AttnProcessor2_0 and _plain(layer):
                layer.processor = DispatchedAttention(backend)  # pyright: ignore[reportAttributeAccessIssue]
                changed += 1
    return changed


def _project(attn: Attention, tokens: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[batch, tokens, heads, dim], queries and keys normalised where the layer does."""
    layers: Any = ((attn.to_q, tokens), (attn.to_k, context), (attn.to_v, context))
    query, key, value = (linear(x).unflatten(-1, (attn.heads, -1)) for linear, x in layers)
    if attn.norm_q is not None:
        query = attn.norm_q(query)
    if attn.norm_k is not None:
        key = attn.norm_k(key)
    return query, key, value


def _attend(
    attn: Attention, parts: tuple[Tensor, Tensor, Tensor], mask: Tensor | None, backend: AttentionBackendName
) -> Tensor:
    """Fast kernels take no mask: torch's own does where there is one."""
    query, key, value = parts
    if mask is None:
        return dispatch_attention_fn(query, key, value, backend=backend).flatten(2)
    mask = attn.prepare_attention_mask(mask, key.shape[1], len(key))
    mask = mask.view(len(key), attn.heads, -1, mask.shape[-1])
    return dispatch_attention_fn(query, key, value, mask, backend=AttentionBackendName.NATIVE).flatten(2)


def _output(attn: Attention, attended: Tensor) -> Tensor:
    projection: Any = attn.to_out
    return projection[1](projection[0](attended))


def _fits(layer: Attention, backend: str) -> bool:
    allowed = HEAD_DIMS.get(backend)
    return allowed is None or layer.inner_dim // layer.heads in allowed


def _plain(layer: Attention) -> bool:
    """Without the extras that only some layers have, such as a VAE's norm over pictures."""
    extras = (layer.spatial_norm, layer.group_norm, layer.norm_cross, layer.residual_connection)
    return not any(extras)
