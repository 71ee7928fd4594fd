"""CameraCtrl's pose encoder: Pluecker rays of a path to one feature map per resolution of the UNet (arXiv:2404.02101).

Names are the released checkpoint's. Source: CameraCtrl cameractrl/models/pose_adaptor.py with its released settings.
"""

from __future__ import annotations

from collections.abc import Sequence

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.attention import FeedForward
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from models.common.cameras import DEFAULT_INTRINSICS

RAY_CHANNELS = 6


class CameraPoseEncoder(ModelMixin, ConfigMixin):
    """Rays -> features at 1/8, 1/16, 1/32... of the picture, one per level of `channels`."""

    @register_to_config
    def __init__(
        self,
        channels: Sequence[int] = (320, 640, 1280, 1280),
        layers_per_level: int = 2,
        downscale_factor: int = 8,
        num_attention_heads: int = 8,
        max_frames: int = 16,
        focal_length: float = DEFAULT_INTRINSICS.fx,
    ) -> None:
        """`focal_length`: the lens of named paths, as a fraction of the picture's side, in the videos trained on."""
        super().__init__()
        self.unshuffle = nn.PixelUnshuffle(downscale_factor)
        self.encoder_conv_in = nn.Conv2d(RAY_CHANNELS * downscale_factor**2, channels[0], 3, padding=1)
        self.encoder_down_conv_blocks = nn.ModuleList()
        self.encoder_down_attention_blocks = nn.ModuleList()
        previous = channels[0]
        for level, width in enumerate(channels):
            convolutions, attentions = nn.ModuleList(), nn.ModuleList()
            for layer in range(layers_per_level):
                convolutions.append(PoseResnetBlock(previous, width, halve=level > 0 and layer == 0))
                attentions.append(PoseTemporalBlock(width, num_attention_heads, max_frames))
                previous = width
            self.encoder_down_conv_blocks.append(convolutions)
            self.encoder_down_attention_blocks.append(attentions)

    def forward(
        self, rays: Float[Tensor, "views 6 frames height width"]
    ) -> tuple[Float[Tensor, "views _ frames _ _"], ...]:
        num_views, _, num_frames = rays.shape[:3]
        hidden_states = self.encoder_conv_in(self.unshuffle(rays.transpose(1, 2).flatten(0, 1)))
        features = []
        for convolutions, attentions in zip(
            self.encoder_down_conv_blocks, self.encoder_down_attention_blocks, strict=True
        ):
            for convolution, attention in zip(convolutions.children(), attentions.children(), strict=True):
                hidden_states = convolution(hidden_states)  # [views * frames, channels, height, width]
                hidden_states = attention(hidden_states, num_frames)
            features.append(hidden_states.unflatten(0, (num_views, num_frames)).transpose(1, 2))
        return tuple(features)


class PoseResnetBlock(nn.Module):
    """Two convolutions with a ReLU between them; at the start of a level the map is halved by averaging."""

    def __init__(self, in_channels: int, out_channels: int, halve: bool) -> None:
        super().__init__()
        self.halve = halve
        if in_channels != out_channels:
            self.in_conv = nn.Conv2d(in_channels, out_channels, 1)
        self.widens = in_channels != out_channels
        self.block1 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.block2 = nn.Conv2d(out_channels, out_channels, 1)

    def forward(self, hidden_states: Tensor) -> Tensor:
        if self.halve:
            hidden_states = F.avg_pool2d(hidden_states, 2)
        if self.widens:
            hidden_states = self.in_conv(hidden_states)
        return hidden_states + self.block2(F.relu(self.block1(hidden_states)))


class PoseTemporalBlock(nn.Module):
    """Self-attention over time at every pixel, then a feed-forward layer."""

    def __init__(self, dim: int, num_heads: int, max_frames: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList([PoseTemporalAttention(dim, num_heads, max_frames)])
        self.norms = nn.ModuleList([nn.LayerNorm(dim)])
        self.ff = FeedForward(dim, activation_fn="geglu")
        self.ff_norm = nn.LayerNorm(dim)

    def forward(self, hidden_states: Float[Tensor, "rows dim height width"], num_frames: int) -> Tensor:
        rows, dim, height, width = hidden_states.shape
        tokens = hidden_states.reshape(-1, num_frames, dim, height * width).permute(0, 3, 1, 2).flatten(0, 1)
        for norm, attention in zip(self.norms, self.attention_blocks, strict=True):
            tokens = tokens + attention(norm(tokens))  # [views * pixels, frames, dim]
        tokens = tokens + self.ff(self.ff_norm(tokens))
        tokens = tokens.reshape(-1, height * width, num_frames, dim).permute(0, 2, 3, 1)
        return tokens.reshape(rows, dim, height, width)


class PoseTemporalAttention(nn.Module):
    """Multi-head self-attention with positions added first."""

    def __init__(self, dim: int, num_heads: int, max_frames: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.pos_encoder = SinusoidalPositionalEmbedding(dim, max_frames)
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_k = nn.Linear(dim, dim, bias=False)
        self.to_v = nn.Linear(dim, dim, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(dim, dim), nn.Identity()])

    def forward(self, tokens: Float[Tensor, "rows frames dim"]) -> Float[Tensor, "rows frames dim"]:
        tokens = self.pos_encoder(tokens)
        query, key, value = (
            project(tokens).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for project in (self.to_q, self.to_k, self.to_v)
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.to_out[0](attended.transpose(1, 2).flatten(2))
