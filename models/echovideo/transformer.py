"""EchoVideo's network: CogVideoX-5B, image latents on extra input channels, and the identity fusion in front of it."""

from __future__ import annotations

from typing import Any

from models.common.cogvideox.backbone import CogVideoXBackbone
from models.echovideo.identity_fusion import IdentityFusion, IdentityResampler


class EchoVideoTransformer3DModel(IdentityFusion, CogVideoXBackbone):
    """CogVideoX's transformer on fused text: call `fuse_text` once per video and pass its result as the text.

    All config fields of diffusers' `CogVideoXTransformer3DModel` apply. `face_features_seq_length`: how often the
    recogniser's vector is repeated; equal rows, but they compete with the resampler's queries, so the number matters.
    The resampler's sizes are constants in the authors' code and their config does not hold them.
    """

    def __init__(
        self,
        face_embed_dim: int = 768,
        face_seq_length: int = 196,
        face_features_embed_dim: int = 512,
        face_features_seq_length: int = 144,
        resampler_dim: int = 1024,
        resampler_depth: int = 4,
        resampler_dim_head: int = 64,
        resampler_heads: int = 12,
        resampler_queries: int = 16,
        resampler_ff_mult: int = 4,
        **cogvideox: Any,
    ) -> None:
        super().__init__(**cogvideox)
        self.register_to_config(
            face_embed_dim=face_embed_dim,
            face_seq_length=face_seq_length,
            face_features_embed_dim=face_features_embed_dim,
            face_features_seq_length=face_features_seq_length,
            resampler_dim=resampler_dim,
            resampler_depth=resampler_depth,
            resampler_dim_head=resampler_dim_head,
            resampler_heads=resampler_heads,
            resampler_queries=resampler_queries,
            resampler_ff_mult=resampler_ff_mult,
        )
        resampler = IdentityResampler(
            resampler_dim, resampler_depth, resampler_dim_head, resampler_heads, resampler_queries,
            face_features_embed_dim, face_embed_dim, resampler_ff_mult,
        )  # fmt: skip
        self.build_fusion(
            resampler, face_seq_length, face_embed_dim, self.config.max_text_seq_length, self.config.text_embed_dim
        )
