"""Tiny CogVideoX parts with random weights: the real classes, a few thousand parameters."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import AutoencoderKLCogVideoX
from diffusers.schedulers.scheduling_dpm_cogvideox import CogVideoXDPMScheduler
from transformers import T5Config, T5EncoderModel, T5Tokenizer

from models.repvideo.transformer import RepVideoTransformer3DModel

TEXT_TOKENS, TEXT_DIM, CHANNELS = 8, 16, 4

SMALL: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "in_channels": CHANNELS,
    "out_channels": CHANNELS,
    "time_embed_dim": 16,
    "text_embed_dim": TEXT_DIM,
    "num_layers": 9,
    "sample_width": 8,
    "sample_height": 6,
    "sample_frames": 9,
    "max_text_seq_length": TEXT_TOKENS,
}
# of the pocket weights' kind: patches of several frames, rotary positions and a position table
PATCHED = SMALL | {
    "patch_size_t": 4,
    "sample_frames": 8,
    "temporal_compression_ratio": 1,
    "use_rotary_positional_embeddings": True,
    "use_learned_positional_embeddings": True,
    "num_layers": 3,
}
SCHEDULER: dict[str, Any] = {
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "snr_shift_scale": 3.0,
    "timestep_spacing": "trailing",
    "clip_sample": False,
}


def network(config: dict[str, Any], seed: int = 0) -> RepVideoTransformer3DModel:
    """A RepVideo network whose every parameter is random, gates from below 0 to above 1."""
    torch.manual_seed(seed)
    model = RepVideoTransformer3DModel(**config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
            if name == "learnable_gating":
                parameter.copy_(torch.linspace(1.3, -0.4, len(parameter)))
    return model


def vae(temporal_ratio: int = 4) -> AutoencoderKLCogVideoX:
    """Four pixels per latent."""
    torch.manual_seed(1)
    arguments: dict[str, Any] = {
        "down_block_types": ("CogVideoXDownBlock3D",) * 3,
        "up_block_types": ("CogVideoXUpBlock3D",) * 3,
        "block_out_channels": (8, 8, 8),
        "latent_channels": CHANNELS,
        "layers_per_block": 1,
        "norm_num_groups": 2,
        "temporal_compression_ratio": temporal_ratio,
        "scaling_factor": 0.7,
    }
    return AutoencoderKLCogVideoX(**arguments).eval()


def text_encoder() -> T5EncoderModel:
    torch.manual_seed(2)
    config = T5Config(
        vocab_size=8, d_model=TEXT_DIM, d_kv=8, num_heads=2, d_ff=16, num_layers=1, feed_forward_proj="gated-gelu"
    )
    return T5EncoderModel(config).eval()


def tokenizer() -> T5Tokenizer:
    words: Any = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁a", -1.0), ("▁red", -1.0), ("▁ball", -1.0)]
    return T5Tokenizer(vocab=words, extra_ids=0, model_max_length=TEXT_TOKENS)


def scheduler(**changes: Any) -> CogVideoXDPMScheduler:
    return CogVideoXDPMScheduler(**SCHEDULER | changes)
