"""The real classes of the AnimateDiff family with random weights, small enough for a test."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet3DConditionModel, UNetMotionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from models.cvd.pose_encoder import CameraPoseEncoder
from models.cvd.unet import CollaborativeUNet

SIZE = 32  # pixels; 8 latents
FRAMES = 4
TEXT_DIM = 16
WIDTHS = (32, 64)
KINDS: dict[str, Any] = {
    "down_block_types": ("CrossAttnDownBlockMotion", "DownBlockMotion"),
    "up_block_types": ("UpBlockMotion", "CrossAttnUpBlockMotion"),
}


def text_parts() -> dict[str, Any]:
    tokenizer = CLIPTokenizer()
    tokenizer.model_max_length = 8
    torch.manual_seed(1)
    config = CLIPTextConfig(
        vocab_size=64, hidden_size=TEXT_DIM, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=8, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return {"tokenizer": tokenizer, "text_encoder": CLIPTextModel(config).eval()}


def frame_parts() -> dict[str, Any]:
    torch.manual_seed(2)
    config: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "block_out_channels": (8, 8, 8),
    }
    vae = AutoencoderKL(norm_num_groups=4, latent_channels=4, sample_size=SIZE, **config)
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, steps_offset=1, clip_sample=False)
    return {"vae": vae.eval(), "scheduler": scheduler}


def cvd_unet(seed: int = 3) -> CollaborativeUNet:
    """A network whose cross-view modules and pose conditioning do something: nothing is zero."""
    torch.manual_seed(seed)
    unet = CollaborativeUNet(
        sample_size=8, block_out_channels=WIDTHS, layers_per_block=1, norm_num_groups=8, num_attention_heads=4,
        motion_num_attention_heads=4, cross_attention_dim=TEXT_DIM, **KINDS,
    )  # fmt: skip
    for name, parameter in unet.named_parameters():
        if "qkv_merge" in name or "cross_view.proj_out" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return unet.eval().requires_grad_(False)


def pose_encoder() -> CameraPoseEncoder:
    torch.manual_seed(4)
    return CameraPoseEncoder(WIDTHS, layers_per_level=1, downscale_factor=4, max_frames=FRAMES).eval()


def cvd_parts() -> dict[str, Any]:
    return {"unet": cvd_unet(), "pose_encoder": pose_encoder(), **text_parts(), **frame_parts()}


def motion_unet(seed: int = 5) -> UNetMotionModel:
    torch.manual_seed(seed)
    return UNetMotionModel(
        sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, num_attention_heads=4,
        motion_num_attention_heads=4, cross_attention_dim=TEXT_DIM, **KINDS,
    ).eval()  # fmt: skip


def modelscope_unet(seed: int = 6) -> UNet3DConditionModel:
    torch.manual_seed(seed)
    return UNet3DConditionModel(
        sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, attention_head_dim=8,
        cross_attention_dim=TEXT_DIM, down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
    ).eval()  # fmt: skip
