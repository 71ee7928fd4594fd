"""RepVideo's network: CogVideoX with a cross-layer feature cache and one learned gate per layer."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.utils import apply_lora_scale
from torch import Tensor, nn

from models.common.cogvideox.backbone import CogVideoXBackbone
from models.repvideo.layer_features import LayerFeatureCache, Streams


class RepVideoTransformer3DModel(CogVideoXBackbone):
    """CogVideoX's transformer whose layers see the mean of their neighbours' outputs.

    All config fields of diffusers' `CogVideoXTransformer3DModel` apply. `feature_group_size`: layers per cache group.
    `norm_out_eps`: epsilon of the last LayerNorm, 1e-6 in the authors' code where diffusers has `norm_eps` (1e-5).
    """

    blocks_are_independent = False  # a cache that skips blocks would hand old outputs to later layers

    def __init__(self, feature_group_size: int = 6, norm_out_eps: float = 1e-6, **cogvideox: Any) -> None:
        super().__init__(**cogvideox)
        self.register_to_config(feature_group_size=feature_group_size, norm_out_eps=norm_out_eps)
        self.learnable_gating = nn.Parameter(torch.full((self.config.num_layers,), 0.5))
        self.norm_out.norm.eps = norm_out_eps

    @apply_lora_scale("attention_kwargs")
    def forward(
        self,
        hidden_states: Tensor,  # [batch, frames, channels, height, width]
        encoder_hidden_states: Tensor,  # [batch, text_tokens, text_dim]
        timestep: Tensor,  # [batch]
        ofs: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
        attention_kwargs: dict[str, Any] | None = None,
        return_dict: bool = True,
        feature_cache: bool = True,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """Predict v. With `feature_cache` off the layers run as in plain CogVideoX."""
        _, num_frames, _, height, width = hidden_states.shape
        emb = self.embed_time(timestep, hidden_states.dtype, ofs)
        # the embedding goes in unnamed: a name here would keep it alive through all layers
        video = self.run_blocks(
            self.embed_tokens(encoder_hidden_states, hidden_states),
            emb,
            image_rotary_emb,
            attention_kwargs,
            feature_cache,
        )
        output = self.unpatchify(self.proj_out(video), num_frames, height, width)
        return Transformer2DModelOutput(sample=output) if return_dict else (output,)

    def embed_tokens(self, text: Tensor, latents: Tensor) -> Streams:
        """Text and video tokens [batch, tokens, dim], positions added."""
        tokens = self.embedding_dropout(self.patch_embed(text, latents))
        return tokens[:, : text.shape[1]], tokens[:, text.shape[1] :]

    def run_blocks(
        self,
        streams: Streams,
        emb: Tensor,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
        attention_kwargs: dict[str, Any] | None = None,
        feature_cache: bool = True,
    ) -> Tensor:
        """All layers and the last norms, on text and video tokens [batch, tokens, dim] embedded here or elsewhere.

        Returns the video tokens that `proj_out` turns into patches.
        """
        cache = LayerFeatureCache(streams, self.config.feature_group_size) if feature_cache else None
        for layer, block in enumerate(self.transformer_blocks):
            if cache is not None:
                streams = cache.blend(streams, self.learnable_gating[layer])
            arguments = (streams[1], streams[0], emb, image_rotary_emb, attention_kwargs)
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                video, text = self._gradient_checkpointing_func(block, *arguments)  # pyright: ignore[reportOptionalCall]
            else:
                video, text = block(*arguments)
            streams = (text, video)
            del arguments, text, video  # so that only `streams` and the cache hold hidden states in the next layer
            if cache is not None and layer + 1 < len(self.transformer_blocks):
                cache.take(layer, streams)
        return self.norm_out(self.norm_final(streams[1]), temb=emb)
