"""CustomVideoX's network: CogVideoX whose blocks also attend to one picture, itself encoded by the same blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.common.cogvideox.backbone import CogVideoXBackbone
from models.customvideox.lora import ReferenceLora
from models.customvideox.reference_attention import (
    ReferenceMemory,
    Rotary,
    attend,
    attend_alone,
    reference_rotary,
)

Streams = tuple[Tensor, ...]  # (text, video) or (reference,), each [batch, tokens, dim]
OTHERS = ("feature_group_size",)  # config fields of RepVideo's networks, whose weights without cache are CogVideoX's


@runtime_checkable
class Watch(Protocol):
    """Sees queries of the video and keys of the text, [batch, heads, tokens, head_dim], in the blocks it asks for."""

    layers: range

    def see(self, query: Tensor, key: Tensor) -> None: ...


class Lane:
    """One block's linear layers for one kind of rows: as they are, or with a LoRA's updates beside or inside them.

    A sum is made when its layer is first used: only then are a lent network's weights certain to be in memory.
    """

    def __init__(
        self, block: Any, updates: nn.ModuleDict | None = None, merge: bool = False, dtype: torch.dtype | None = None
    ) -> None:
        attn, self.ff = block.attn1, block.ff.net
        layers = {"to_q": attn.to_q, "to_k": attn.to_k, "to_v": attn.to_v, "to_out": attn.to_out[0]}
        layers |= {"ff_in": self.ff[0].proj, "ff_out": self.ff[2]}
        self.layers: dict[str, nn.Linear] = layers
        self.updates: dict[str, Any] = dict(updates.items()) if updates else {}  # pyright: ignore[reportCallIssue]
        self.merge, self.dtype = merge, dtype
        self.weights: dict[str, Tensor] = {}

    def __call__(self, name: str, x: Tensor) -> Tensor:
        layer = self.layers[name]
        if name not in self.updates:
            return layer(x)
        if not self.merge:
            return layer(x) + self.updates[name](x)
        if name not in self.weights:
            self.weights[name] = self.updates[name].merged(layer).to(self.dtype)
        return F.linear(x, self.weights[name], layer.bias)

    def feed_forward(self, x: Tensor) -> Tensor:
        return self("ff_out", self.ff[0].gelu(self("ff_in", x)))


@dataclass(frozen=True)
class Adapted:
    """A network as one job uses it: its linear layers for the video's rows and for the picture's, block by block."""

    video: Sequence[Lane]
    reference: Sequence[Lane]
    reference_type: Tensor | None = None


class CustomVideoXTransformer3DModel(CogVideoXBackbone):
    """All config fields and weights are those of diffusers' `CogVideoXTransformer3DModel`; nothing is added to them.

    `norm_out_eps`: epsilon of the last LayerNorm where it differs from `norm_eps` (RepVideo's networks).
    """

    _keys_to_ignore_on_load_unexpected = ("^learnable_gating$",)  # RepVideo's gates, which act only with its cache
    blocks_are_called = False  # their layers are, one by one

    def __init__(self, norm_out_eps: float | None = None, **cogvideox: Any) -> None:
        super().__init__(**cogvideox)
        self.register_to_config(norm_out_eps=norm_out_eps)
        if norm_out_eps is not None:
            self.norm_out.norm.eps = norm_out_eps

    @classmethod
    def from_config(cls, config: Any, *arguments: Any, **more: Any) -> Any:
        """From CogVideoX's config or RepVideo's."""
        if isinstance(config, dict):
            config = {name: value for name, value in config.items() if name not in OTHERS}
        return super().from_config(config, *arguments, **more)

    @property
    def hidden_size(self) -> int:
        return self.config.num_attention_heads * self.config.attention_head_dim

    def adapted(
        self, lora: ReferenceLora | None = None, merge: bool = False, dtype: torch.dtype | None = None
    ) -> Adapted:
        """The layers of a job. `merge`: sums of weights and updates, new tensors that cost no time per step; `dtype`:
        the sums' own, where autocast would convert them in every step anew."""
        plain = [Lane(block) for block in self.transformer_blocks]
        if lora is None:
            return Adapted(plain, plain)
        trained = [
            Lane(block, updates, merge, dtype)  # pyright: ignore[reportArgumentType]
            for block, updates in zip(self.transformer_blocks, lora.blocks, strict=True)
        ]
        return Adapted(trained if lora.settings.rows == "all" else plain, trained, lora.reference_type)

    def forward(
        self,
        hidden_states: Tensor,  # [batch, frames, channels, height, width]
        encoder_hidden_states: Tensor,  # [batch, text_tokens, text_dim]
        timestep: Tensor,  # [batch]
        ofs: Tensor | None = None,
        image_rotary_emb: Rotary | None = None,
        attention_kwargs: dict[str, Any] | None = None,
        return_dict: bool = True,
        *,
        adapted: Adapted | None = None,
        memory: ReferenceMemory | None = None,
        reference: Tensor | None = None,
        bias: Tensor | None = None,
        watch: Watch | None = None,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """Predict v.

        The picture comes as `memory` ("cached" mask) or as `reference`, latents [batch or 1, 1, channels, height,
        width] ("joint" mask), or not at all. `bias` [batch or 1, video_tokens]: added to the logits of the picture.
        """
        assert not attention_kwargs, "LoRA comes through `adapted`"
        assert memory is None or reference is None, "the picture comes one way, not both"
        _, num_frames, _, height, width = hidden_states.shape
        emb = self.embed_time(timestep, hidden_states.dtype, ofs)
        tokens = self.patch_embed(encoder_hidden_states, hidden_states)
        words = encoder_hidden_states.shape[1]
        streams = (tokens[:, :words], tokens[:, words:])
        adapted = adapted or self.adapted()
        video = self.run_blocks(streams, emb, image_rotary_emb, adapted, memory, reference, bias, watch, ofs)
        output = self.unpatchify(video, num_frames, height, width)
        return Transformer2DModelOutput(sample=output) if return_dict else (output,)

    def run_blocks(
        self,
        streams: Streams,
        emb: Tensor,
        image_rotary_emb: Rotary | None,
        adapted: Adapted,
        memory: ReferenceMemory | None = None,
        reference: Tensor | None = None,
        bias: Tensor | None = None,
        watch: Watch | None = None,
        ofs: Tensor | None = None,
    ) -> Tensor:
        """All layers, on text and video tokens [batch, tokens, dim] embedded here or elsewhere; patches of v
        [batch, video_tokens, patch values]. The rest as in `forward`."""
        words = streams[0].shape[1]
        beside: Streams = ()
        height = width = 0
        if reference is not None:
            height, width = reference.shape[-2:]
            beside = (self.embed_reference(reference.expand(len(emb), -1, -1, -1, -1), adapted.reference_type),)
        beside_emb = self.clean_emb(beside[0], ofs) if beside else None
        rotary = (image_rotary_emb, reference_rotary(self.config, height, width, emb.device) if beside else None)
        row_bias = None
        if bias is not None:  # zero for the words, unless the picture is to be left out altogether
            unseen = bias.isneginf().all(1, keepdim=True)
            row_bias = torch.cat([bias.new_zeros(len(bias), words).masked_fill(unseen, -torch.inf), bias], 1)
        for index in range(len(self.transformer_blocks)):
            known = (memory.keys[index], memory.values[index]) if memory else None
            streams, beside = self._checkpointed(
                self._layer, index, adapted, streams, emb, beside, beside_emb, rotary, known, row_bias, watch
            )
        return self.proj_out(self.norm_out(self.norm_final(streams[1]), temb=emb))

    def remember(self, reference: Tensor, adapted: Adapted, ofs: Tensor | None = None) -> ReferenceMemory:
        """The picture's keys and values in every block, for latents [batch, 1, channels, height, width]."""
        emb = self.clean_emb(reference, ofs)  # first: a part that is called tells that the weights are needed now
        rows = self.embed_reference(reference, adapted.reference_type)
        rotary = reference_rotary(self.config, reference.shape[-2], reference.shape[-1], rows.device)
        keys, values = [], []
        for index, lane in enumerate(adapted.reference):
            rows, key, value = self._checkpointed(self._remember_layer, index, lane, rows, emb, rotary)
            keys.append(key)
            values.append(value)
        return ReferenceMemory(tuple(keys), tuple(values))

    def embed_reference(self, reference: Tensor, reference_type: Tensor | None) -> Tensor:
        """[batch, reference_tokens, dim]; where patches span several frames the one frame fills them all."""
        embed, p, p_t = self.patch_embed, self.config.patch_size, self.config.patch_size_t
        if p_t is None:
            rows = embed.proj(reference[:, 0]).flatten(2).transpose(1, 2)
        else:
            patches = reference[:, 0].unflatten(3, (-1, p)).unflatten(2, (-1, p)).permute(0, 2, 4, 1, 3, 5)
            patches = patches[:, :, :, :, None].expand(-1, -1, -1, -1, p_t, -1, -1)  # [b, rows, columns, c, p_t, p, p]
            rows = embed.proj(patches.flatten(3).flatten(1, 2))
        if embed.use_positional_embeddings or embed.use_learned_positional_embeddings:
            start = self.config.max_text_seq_length  # the rows of frame 0 come right after those of the words
            rows = rows + embed.get_buffer("pos_embedding")[:, start : start + rows.shape[1]].to(rows)
        return rows if reference_type is None else rows + reference_type.to(rows)

    def clean_emb(self, rows: Tensor, ofs: Tensor | None = None) -> Tensor:
        """Time embedding of timestep 0, where nothing is noise, [batch, time_dim]."""
        return self.embed_time(torch.zeros(len(rows), device=rows.device), rows.dtype, ofs)

    def _layer(
        self, index: int, adapted: Adapted, streams: Streams, emb: Tensor, beside: Streams, beside_emb: Tensor | None,
        rotary: tuple[Rotary | None, Rotary | None], known: Rotary | None, bias: Tensor | None, watch: Watch | None,
    ) -> tuple[Streams, Streams]:  # fmt: skip
        """One block on text and video, and on the picture where it takes part in every step."""
        block: Any = self.transformer_blocks[index]
        lane, words = adapted.video[index], streams[0].shape[1]
        rows, gates = modulate(block.norm1, streams, emb)
        query, key, value = project(block.attn1, lane, rows, rotary[0], words)
        if watch is not None and index in watch.layers:
            watch.see(query[:, :, words:], key[:, :, :words])
        if beside:
            assert beside_emb is not None
            other, other_gates = modulate(block.norm1, beside, beside_emb)
            asked, *theirs = project(block.attn1, adapted.reference[index], other, rotary[1])
            known = (theirs[0], theirs[1])
            if index + 1 < len(self.transformer_blocks):  # the last block's picture is not looked at
                seen = attend(asked, key, value, *known)
                beside = finish(block, adapted.reference[index], beside, other_gates, seen, beside_emb)
        attended = attend(query, key, value, *known, bias=bias) if known else attend_alone(query, key, value)
        return finish(block, lane, streams, gates, attended, emb), beside

    def _remember_layer(
        self, index: int, lane: Lane, rows: Tensor, emb: Tensor, rotary: Rotary | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        block: Any = self.transformer_blocks[index]
        entering, gates = modulate(block.norm1, (rows,), emb)
        query, key, value = project(block.attn1, lane, entering, rotary)
        if index + 1 < len(self.transformer_blocks):
            (rows,) = finish(block, lane, (rows,), gates, attend_alone(query, key, value), emb)
        return rows, key, value

    def _checkpointed(self, layer: Any, *arguments: Any) -> Any:
        if torch.is_grad_enabled() and self.gradient_checkpointing:
            return checkpoint(layer, *arguments, use_reentrant=False)
        return layer(*arguments)


def modulate(norm: Any, streams: Streams, emb: Tensor) -> tuple[Tensor, list[Tensor]]:
    """A CogVideoX adaptive norm on (text, video) or on the video's branch alone: all rows together, gate of each."""
    parts = norm.linear(norm.silu(emb))[:, None].chunk(6, 2)
    branches = (parts[3:], parts[:3])[-len(streams) :]
    rows = [norm.norm(x) * (1 + scale) + shift for x, (shift, scale, _) in zip(streams, branches, strict=True)]
    return torch.cat(rows, 1) if len(rows) > 1 else rows[0], [gate for _, _, gate in branches]


def project(
    attn: Any, lane: Lane, rows: Tensor, rotary: Rotary | None, words: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value [batch, heads, tokens, head_dim]; rotary positions on all but the first `words` rows."""
    query, key, value = (
        lane(name, rows).unflatten(-1, (attn.heads, -1)).transpose(1, 2) for name in ("to_q", "to_k", "to_v")
    )
    query, key = attn.norm_q(query), attn.norm_k(key)
    if rotary is not None:
        query, key = (
            torch.cat([x[:, :, :words], apply_rotary_emb(x[:, :, words:], rotary)], 2)  # pyright: ignore[reportArgumentType] -- diffusers annotates the pair as one tensor
            for x in (query, key)
        )
    return query.to(value.dtype), key.to(value.dtype), value


def finish(block: Any, lane: Lane, streams: Streams, gates: list[Tensor], attended: Tensor, emb: Tensor) -> Streams:
    """A block after its attention: output layer, residual, norm, feed-forward, residual."""
    sizes = [x.shape[1] for x in streams]
    parts = lane("to_out", attended.transpose(1, 2).flatten(2)).split(sizes, 1)
    streams = tuple(x + gate * part for x, gate, part in zip(streams, gates, parts, strict=True))
    rows, gates = modulate(block.norm2, streams, emb)
    parts = lane.feed_forward(rows).split(sizes, 1)
    return tuple(x + gate * part for x, gate, part in zip(streams, gates, parts, strict=True))
