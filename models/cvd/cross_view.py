"""The network part of synchronisation: after every motion module, a transformer block that looks at other views."""

from __future__ import annotations

from diffusers.models.attention import FeedForward
from jaxtyping import Float
from torch import Tensor, nn

from models.cvd.epipolar_attention import Synchronization, epipolar_attention

HEADS = 8


class CrossViewAttention(nn.Module):
    """Multi-head attention from every view to its partners, biased towards epipolar lines."""

    def __init__(self, dim: int, num_heads: int = HEADS) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_k = nn.Linear(dim, dim, bias=False)
        self.to_v = nn.Linear(dim, dim, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(dim, dim), nn.Identity()])

    def forward(
        self,
        hidden_states: Float[Tensor, "views copies frames tokens dim"],
        synchronization: Synchronization,
        grid: tuple[int, int],
    ) -> Float[Tensor, "views copies frames tokens dim"]:
        """`copies` are the rows that guidance adds (without and with the prompt); they never see each other."""
        shape = hidden_states.shape
        query, key, value = (
            self._heads(project(hidden_states)) for project in (self.to_q, self.to_k, self.to_v)
        )  # [views, frames, copies * heads, tokens, dim]
        attended = epipolar_attention(query, key, value, synchronization, grid)
        attended = attended.unflatten(2, (shape[1], self.num_heads)).permute(0, 2, 1, 4, 3, 5)
        return self.to_out[0](attended.reshape(shape))

    def _heads(self, projected: Tensor) -> Tensor:
        split = projected.unflatten(-1, (self.num_heads, -1))  # [views, copies, frames, tokens, heads, dim]
        return split.permute(0, 2, 1, 4, 3, 5).flatten(2, 3)


class CrossViewBlock(nn.Module):
    """Two cross-view attentions and a feed-forward layer, each normalised before and added to the stream."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList([CrossViewAttention(dim), CrossViewAttention(dim)])
        self.norms = nn.ModuleList([nn.LayerNorm(dim), nn.LayerNorm(dim)])
        self.ff = FeedForward(dim, activation_fn="geglu")
        self.ff_norm = nn.LayerNorm(dim)

    def forward(self, hidden_states: Tensor, synchronization: Synchronization, grid: tuple[int, int]) -> Tensor:
        for norm, attention in zip(self.norms, self.attention_blocks, strict=True):
            hidden_states = hidden_states + attention(norm(hidden_states), synchronization, grid)
        return hidden_states + self.ff(self.ff_norm(hidden_states))


class CrossViewModule(nn.Module):
    """Cross-View Synchronisation Module (arXiv:2405.17414, figure 3). Starts as the identity: proj_out is zero.

    Names are the released checkpoint's without `epi_transformer`. Source: CVD animatediff/models/epi_module.py.
    """

    def __init__(self, channels: int, norm_num_groups: int = 32) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(norm_num_groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([CrossViewBlock(channels)])
        self.proj_out = nn.Linear(channels, channels)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(
        self,
        hidden_states: Float[Tensor, "rows channels height width"],
        synchronization: Synchronization,
        num_frames: int,
    ) -> Float[Tensor, "rows channels height width"]:
        """Rows are view by view, then copy by copy (guidance), then frame by frame."""
        height, width = hidden_states.shape[-2:]
        tokens = self.norm(hidden_states).flatten(2).transpose(1, 2)  # [rows, tokens, channels]
        tokens = self.proj_in(tokens)
        views = len(synchronization.partners)
        tokens = tokens.reshape(views, -1, num_frames, *tokens.shape[1:])
        for block in self.transformer_blocks:
            tokens = block(tokens, synchronization, (height, width))
        tokens = self.proj_out(tokens.flatten(0, 2))
        return hidden_states + tokens.transpose(1, 2).reshape(hidden_states.shape)
