"""BiSeNet for faces: which pixels of an aligned face are skin, hair, hat, cloth and so on, in 19 classes.

A module of our own under the names of the published weights (facexlib's parsing_bisenet.pth), so that neither facexlib
nor torchvision is needed. Network: BiSeNet, arXiv:1808.00897, with a ResNet-18 whose 1/8 stage stands in for the
spatial path. `python -m models.common.face_parsing parsing_bisenet.pth OUTPUT` writes the folder that is loaded.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors.torch import save_file
from torch import Tensor, nn

from models.common.conversion import Renamed, check_names, load_pickle

CLASSES = 19


class ConvNorm(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, channels: int, out: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        changes = stride != 1 or channels != out
        self.downsample = (
            nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if changes else None
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(shortcut + self.bn2(self.conv2(x)))


class ResNet18(nn.Module):
    """The stages at 1/8, 1/16 and 1/32 of the picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, 1)
        self.layer2 = _stage(width, 2 * width, 2)
        self.layer3 = _stage(2 * width, 4 * width, 2)
        self.layer4 = _stage(4 * width, 8 * width, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        eighth = self.layer2(self.layer1(x))
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.layer4(sixteenth)


class AttentionRefinement(nn.Module):
    """Features weighted by channel, by what the whole picture shows."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = ConvNorm(channels, out)
        self.conv_atten = nn.Conv2d(out, out, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * self.bn_atten(self.conv_atten(_mean(x))).sigmoid()


class ContextPath(nn.Module):
    """Coarse features brought back to 1/8 and 1/16, with the picture's mean added at 1/32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.resnet = ResNet18(width)
        self.arm16 = AttentionRefinement(4 * width, 2 * width)
        self.arm32 = AttentionRefinement(8 * width, 2 * width)
        self.conv_head32 = ConvNorm(2 * width, 2 * width)
        self.conv_head16 = ConvNorm(2 * width, 2 * width)
        self.conv_avg = ConvNorm(8 * width, 2 * width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        eighth, sixteenth, last = self.resnet(x)
        coarse = self.arm32(last) + self.conv_avg(_mean(last))
        coarse = self.conv_head32(F.interpolate(coarse, sixteenth.shape[2:], mode="nearest"))
        fine = self.arm16(sixteenth) + coarse
        return eighth, self.conv_head16(F.interpolate(fine, eighth.shape[2:], mode="nearest")), coarse


class FeatureFusion(nn.Module):
    """Detail and context in one, weighted by channel."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.convblk = ConvNorm(channels, out, 1)
        self.conv1 = nn.Conv2d(out, out // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(out // 4, out, 1, bias=False)

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        x = self.convblk(torch.cat([detail, context], 1))
        return x + x * self.conv2(F.relu(self.conv1(_mean(x)))).sigmoid()


class Output(nn.Module):
    """Class scores."""

    def __init__(self, channels: int, middle: int, classes: int) -> None:
        super().__init__()
        self.conv = ConvNorm(channels, middle)
        self.conv_out = nn.Conv2d(middle, classes, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Module):
    """`width`: channels of the first stage, 64 in the published weights. `conv_out16` and `conv_out32` helped training
    and are here so that the file fits without exception."""

    def __init__(self, classes: int = CLASSES, width: int = 64) -> None:
        super().__init__()
        self.cp = ContextPath(width)
        self.ffm = FeatureFusion(4 * width, 4 * width)
        self.conv_out = Output(4 * width, 4 * width, classes)
        self.conv_out16 = Output(2 * width, width, classes)
        self.conv_out32 = Output(2 * width, width, classes)

    def forward(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch classes height width"]:
        """Class scores of pixels normalised by ImageNet's mean and spread, sides multiples of 32."""
        detail, context, _ = self.cp(pixels)
        scores = self.conv_out(self.ffm(detail, context))
        return F.interpolate(scores, pixels.shape[2:], mode="bilinear", align_corners=True)

    @torch.no_grad()
    def parse(self, normalised: Float[np.ndarray, "1 3 height width"]) -> Int[np.ndarray, "height width"]:
        """The label of every pixel."""
        weight = self.cp.resnet.conv1.weight
        return self(torch.from_numpy(normalised).to(weight.device, weight.dtype))[0].argmax(0).cpu().numpy()


def convert(checkpoint: Path, output: Path) -> int:
    """The published .pth as a folder of config.json and safetensors; the number of tensors. ConversionError unless
    every name and shape is the network's."""
    tensors = load_pickle(checkpoint, mmap=False)  # published in torch's format of before 1.6
    head, stem = tensors.get("conv_out.conv_out.weight"), tensors.get("cp.resnet.conv1.weight")
    config = {"classes": CLASSES if head is None else len(head), "width": 64 if stem is None else len(stem)}
    with torch.device("meta"):
        expected = BiSeNet(**config).state_dict()
    check_names(Renamed(sources={name: (name, None) for name in tensors}), tensors, expected, "BiSeNet face parser")
    output.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, output / "model.safetensors")
    (output / "config.json").write_text(json.dumps(config) + "\n", encoding="utf-8")
    return len(tensors)


def main(argv: list[str] | None = None) -> None:
    """Convert and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m models.common.face_parsing", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args(argv)
    print(f"face parser: all {convert(options.checkpoint, options.output)} tensors are the network's")


def _stage(channels: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(ResidualBlock(channels, out, stride), ResidualBlock(out, out, 1))


def _mean(x: Tensor) -> Tensor:
    return x.mean((2, 3), keepdim=True)


if __name__ == "__main__":
    main()
