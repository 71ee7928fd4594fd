"""The CogVideoX transformer the methods build on: diffusers' network, two gaps closed.

diffusers cannot combine `patch_size_t` with a position table (the table would have one row per latent frame, not per
patch of frames), and its config machinery drops fields a subclass receives through `**kwargs`. Both are handled here.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from diffusers.models.embeddings import CogVideoXPatchEmbed, get_3d_sincos_pos_embed
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXTransformer3DModel
from torch import Tensor, nn


class PatchEmbed(CogVideoXPatchEmbed):
    """diffusers' patch embedding whose position table counts patches of `patch_size_t` frames."""

    def _get_positional_embeddings(
        self, sample_height: int, sample_width: int, sample_frames: int, device: torch.device | None = None
    ) -> Tensor:
        latent_frames = (sample_frames - 1) // self.temporal_compression_ratio + 1
        frames = -(-latent_frames // (self.patch_size_t or 1))
        size = (sample_width // self.patch_size, sample_height // self.patch_size)
        table = get_3d_sincos_pos_embed(
            self.embed_dim, size, frames, self.spatial_interpolation_scale, self.temporal_interpolation_scale,
            device=device, output_type="pt",
        )  # fmt: skip
        table = table.flatten(0, 1).float()  # [video_tokens, dim]
        text_rows = table.new_zeros(self.max_text_seq_length, self.embed_dim)
        return torch.cat([text_rows, table])[None]


class CogVideoXBackbone(CogVideoXTransformer3DModel):
    """diffusers' `CogVideoXTransformer3DModel`, every config field kept, for networks that add to it.

    A subclass names only its own fields in `__init__`, passes the rest on, and calls `register_to_config` for its own.
    """

    config: Any  # diffusers' FrozenDict, whose fields are also attributes

    def __init__(self, **cogvideox: Any) -> None:
        super().__init__(**cogvideox)
        embed = self.patch_embed
        tabled = embed.use_positional_embeddings or embed.use_learned_positional_embeddings
        if embed.patch_size_t is not None and tabled:
            config = self.config
            self.patch_embed = PatchEmbed(
                patch_size=config.patch_size,
                patch_size_t=config.patch_size_t,
                in_channels=config.in_channels,
                embed_dim=embed.embed_dim,
                text_embed_dim=config.text_embed_dim,
                bias=config.patch_bias,
                sample_width=config.sample_width,
                sample_height=config.sample_height,
                sample_frames=config.sample_frames,
                temporal_compression_ratio=config.temporal_compression_ratio,
                max_text_seq_length=config.max_text_seq_length,
                spatial_interpolation_scale=config.spatial_interpolation_scale,
                temporal_interpolation_scale=config.temporal_interpolation_scale,
                use_positional_embeddings=embed.use_positional_embeddings,
                use_learned_positional_embeddings=embed.use_learned_positional_embeddings,
            )

    @staticmethod
    def _get_init_keys(input_class: type) -> set[str]:
        """Config fields of a class and of the backbone under it; diffusers looks at one signature only."""
        keys: set[str] = set()
        for cls in input_class.__mro__:
            if cls is nn.Module:
                break
            if "__init__" in vars(cls):
                parameters = inspect.signature(vars(cls)["__init__"]).parameters
                keys |= {name for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD and name != "args"}
            if cls is CogVideoXTransformer3DModel:
                break
        return keys | {"self"}

    def embed_time(self, timestep: Tensor, dtype: torch.dtype, ofs: Tensor | None = None) -> Tensor:
        """Time embedding [batch, time_dim]; sines in float32, then the network's dtype."""
        emb = self.time_embedding(self.time_proj(timestep).to(dtype))
        if self.ofs_embedding is not None:
            assert self.ofs_proj is not None, "diffusers makes both or neither"
            emb = emb + self.ofs_embedding(self.ofs_proj(ofs).to(dtype))
        return emb

    def unpatchify(self, tokens: Tensor, num_frames: int, height: int, width: int) -> Tensor:
        """[batch, tokens, patch values] -> [batch, frames, channels, height, width]."""
        p, p_t = self.config.patch_size, self.config.patch_size_t
        if p_t is None:
            grid = tokens.reshape(len(tokens), num_frames, height // p, width // p, -1, p, p)
            return grid.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4)
        grid = tokens.reshape(len(tokens), num_frames // p_t, height // p, width // p, -1, p_t, p, p)
        return grid.permute(0, 1, 5, 4, 2, 6, 3, 7).flatten(6, 7).flatten(4, 5).flatten(1, 2)
