"""diffusers' UNetMotionModel with cameras and several views: pose-conditioned motion modules, each followed by a
cross-view module. Names and numbers agree with CVD's released network (spec_cvd_mcm.md 1-2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diffusers.configuration_utils import register_to_config
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D, UNetMotionModel
from jaxtyping import Float
from torch import Tensor, nn

from models.cvd.cross_view import CrossViewModule
from models.cvd.epipolar_attention import Synchronization

MOTION_NORM_GROUPS = 32  # AnimateDiff's, whatever the UNet's own norm_num_groups


@dataclass(frozen=True)
class ViewConditions:
    """What one call of the network is told about its views.

    `pose_features` are the pose encoder's, one per resolution, empty to ignore the cameras; `synchronization` None
    lets every view go its own way (CameraCtrl).
    """

    pose_features: tuple[Float[Tensor, "views _ frames _ _"], ...] = ()
    synchronization: Synchronization | None = None


class CallState:
    """The conditions of the call in progress: stock blocks pass nothing to motion modules, so these read it here."""

    def __init__(self) -> None:
        self.conditions = ViewConditions()


class CameraAttentionProcessor(nn.Module):
    """CameraCtrl's pose conditioning of a temporal attention: x + merge(x + pose) feeds queries, keys and values."""

    def __init__(self, dim: int, level: int, state: CallState, scale: float = 1.0) -> None:
        super().__init__()
        self.qkv_merge = nn.Linear(dim, dim)
        nn.init.zeros_(self.qkv_merge.weight)
        nn.init.zeros_(self.qkv_merge.bias)
        self.level = level
        self.scale = scale
        self._state = state
        self._attention = AttnProcessor2_0()

    def forward(
        self,
        attn: Attention,
        hidden_states: Float[Tensor, "rows frames dim"],
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        features = self._state.conditions.pose_features
        if features:
            pose = features[self.level].permute(0, 3, 4, 2, 1).flatten(1, 2)  # [views, pixels, frames, dim]
            views, pixels = pose.shape[:2]
            streams = hidden_states.reshape(views, -1, pixels, *hidden_states.shape[1:])  # copies of guidance in 1
            merged = self.qkv_merge(streams + pose[:, None]).reshape(hidden_states.shape)
            hidden_states = merged * self.scale + hidden_states
        return self._attention(attn, hidden_states, encoder_hidden_states, attention_mask, temb)


class CameraMotionModule(AnimateDiffTransformer3D):
    """A motion module whose first attention knows the camera, followed by the cross-view module.

    Its GroupNorm works frame by frame, as AnimateDiff's own; diffusers' pools over time (spec_cvd_mcm.md 2.2).
    """

    def __init__(
        self, channels: int, num_heads: int, max_frames: int, norm_num_groups: int, level: int, state: CallState
    ) -> None:
        super().__init__(
            num_attention_heads=num_heads,
            attention_head_dim=channels // num_heads,
            in_channels=channels,
            norm_num_groups=norm_num_groups,
            activation_fn="geglu",
            positional_embeddings="sinusoidal",
            num_positional_embeddings=max_frames,
        )
        for block in self.transformer_blocks:
            attention = block.attn1
            assert isinstance(attention, Attention)
            attention.set_processor(CameraAttentionProcessor(channels, level, state))  # pyright: ignore[reportArgumentType] -- the union lists diffusers' own
        self.cross_view = CrossViewModule(channels, norm_num_groups)
        self._state = state

    def forward(self, hidden_states: Float[Tensor, "rows channels height width"], num_frames: int = 1) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride] -- the blocks that call it pass no more
        channels, height, width = hidden_states.shape[1:]
        tokens = self.norm(hidden_states).reshape(-1, num_frames, channels, height * width)
        tokens = self.proj_in(tokens.permute(0, 3, 1, 2).flatten(0, 1))  # [batch * pixels, frames, channels]
        for block in self.transformer_blocks:
            tokens = block(tokens)
        tokens = self.proj_out(tokens).reshape(-1, height * width, num_frames, channels).permute(0, 2, 3, 1)
        hidden_states = hidden_states + tokens.reshape(hidden_states.shape)
        synchronization = self._state.conditions.synchronization
        if synchronization is None:
            return hidden_states
        return self.cross_view(hidden_states, synchronization, num_frames)


class CollaborativeUNet(UNetMotionModel):
    """The CVD network. Rows of `sample` are view by view, and within a view copy by copy of guidance."""

    @register_to_config
    def __init__(
        self,
        sample_size: int | None = 32,
        in_channels: int = 4,
        out_channels: int = 4,
        down_block_types: Sequence[str] = (*["CrossAttnDownBlockMotion"] * 3, "DownBlockMotion"),
        up_block_types: Sequence[str] = ("UpBlockMotion", *["CrossAttnUpBlockMotion"] * 3),
        block_out_channels: Sequence[int] = (320, 640, 1280, 1280),
        layers_per_block: int = 2,
        norm_num_groups: int = 32,
        cross_attention_dim: int = 768,
        num_attention_heads: int = 8,
        motion_max_seq_length: int = 32,
        motion_num_attention_heads: int = 8,
        motion_norm_num_groups: int = MOTION_NORM_GROUPS,
    ) -> None:
        super().__init__(
            sample_size=sample_size,
            in_channels=in_channels,
            out_channels=out_channels,
            down_block_types=tuple(down_block_types),
            up_block_types=tuple(up_block_types),
            block_out_channels=tuple(block_out_channels),
            layers_per_block=layers_per_block,
            norm_num_groups=norm_num_groups,
            cross_attention_dim=cross_attention_dim,
            num_attention_heads=num_attention_heads,
            motion_max_seq_length=motion_max_seq_length,
            motion_num_attention_heads=motion_num_attention_heads,
            use_motion_mid_block=False,
        )
        self._state = CallState()
        levels = range(len(block_out_channels))
        for blocks, level_of in ((self.down_blocks, list(levels)), (self.up_blocks, list(reversed(levels)))):
            for block, level in zip(blocks, level_of, strict=True):
                stock = block.motion_modules
                assert isinstance(stock, nn.ModuleList)
                block.motion_modules = nn.ModuleList(
                    CameraMotionModule(
                        block_out_channels[level],
                        motion_num_attention_heads,
                        motion_max_seq_length,
                        motion_norm_num_groups,
                        level,
                        self._state,
                    )
                    for _ in stock
                )

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride] -- the conditions take the place of ControlNet's arguments
        self,
        sample: Float[Tensor, "batch channels frames height width"],
        timestep: Tensor | float | int,
        encoder_hidden_states: Float[Tensor, "batch tokens dim"],
        conditions: ViewConditions | None = None,
    ) -> Float[Tensor, "batch channels frames height width"]:
        """The predicted noise. The text is given once per row of `sample` and repeated here for the frames."""
        self._state.conditions = conditions or ViewConditions()
        try:
            text = encoder_hidden_states.repeat_interleave(sample.shape[2], dim=0)
            return super().forward(sample, timestep, text, return_dict=False)[0]
        finally:
            self._state.conditions = ViewConditions()

    def cross_view_parameters(self) -> list[nn.Parameter]:
        """What CVD trains: the synchronisation modules, and nothing else."""
        return [parameter for name, parameter in self.named_parameters() if ".cross_view." in name]
