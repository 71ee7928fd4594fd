"""Convolutions that keep their kernel as a matrix, the shape Muon's orthogonal updates need."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MatrixConv(nn.Module):
    """A 2D convolution whose weight is [out, in * kernel * kernel]."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.kernel, self.channels, self.stride, self.padding = kernel, in_channels, stride, padding
        plain = nn.Conv2d(in_channels, out_channels, kernel)
        self.weight = nn.Parameter(plain.weight.detach().flatten(1).clone())
        self.bias = nn.Parameter(plain.bias.detach().clone())  # pyright: ignore[reportOptionalMemberAccess]

    @property
    def kernels(self) -> Tensor:
        """The weight as other convolutions have it, [out, in, kernel, kernel]."""
        return self.weight.view(-1, self.channels, self.kernel, self.kernel)

    def forward(self, inputs: Tensor) -> Tensor:
        return F.conv2d(inputs, self.kernels, self.bias, self.stride, self.padding)


def use_matrix_convolutions(module: nn.Module) -> None:
    """Replace every square convolution wider than one pixel, in place, with the same function."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and child.kernel_size[0] > 1:
            new = MatrixConv(
                child.in_channels, child.out_channels, child.kernel_size[0], child.stride[0], int(child.padding[0])
            )
            with torch.no_grad():
                new.weight.copy_(child.weight.flatten(1))
                new.bias.copy_(child.bias)  # pyright: ignore[reportArgumentType] -- diffusers' convolutions have one
            setattr(module, name, new)
        else:
            use_matrix_convolutions(child)


def plain_state(module: nn.Module) -> dict[str, Tensor]:
    """The state dict under the names and shapes of the network before `use_matrix_convolutions`."""
    state = module.state_dict()
    for name, part in module.named_modules():
        if isinstance(part, MatrixConv):
            state[f"{name}.weight"] = part.kernels.detach()
    return state


def muon_convolutions(module: nn.Module) -> list[nn.Parameter]:
    """Kernels wide enough to gain from Muon; the first and last layers are not."""
    return [
        part.weight
        for part in module.modules()
        if isinstance(part, MatrixConv) and part.kernel == 3 and min(part.weight.shape) >= 16
    ]
