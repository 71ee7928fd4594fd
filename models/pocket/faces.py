"""Faces of the world's cartoon people: a finder, a parser and a recogniser, small and trained on renders only.

`PocketFaces` stands where insightface and a face parser stand for photographs (models/common/faces.py).
"""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from models.common.faces import (
    BACKGROUND,
    CLOTH,
    HAIR,
    HAT,
    NECK,
    NOSE,
    SKIN,
    DetectedFace,
    align_face,
    parser_input,
)

WEIGHTS = Path(__file__).parent / "weights" / "faces"
FOUND_SIDE, CELL = 96, 4  # the finder looks at a square of 96 pixels and answers for every 4 x 4 of them
ALIGNED_SIDE = 64
PARTS = (BACKGROUND, SKIN, NOSE, NECK, CLOTH, HAIR, HAT)
THRESHOLD = 0.4


def _stack(widths: tuple[int, ...], strides: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for (width, following), stride in zip(itertools.pairwise(widths), strides, strict=True):
        layers += [nn.Conv2d(width, following, 3, stride, 1), nn.GroupNorm(8, following), nn.SiLU()]
    return nn.Sequential(*layers)


class FaceFinder(nn.Module):
    """Per cell: is a face's middle here, how far are its box's sides and its five landmarks, in cells."""

    def __init__(self) -> None:
        super().__init__()
        self.near = _stack((3, 16, 32, 48), (2, 2, 1))
        self.far = _stack((48, 64, 64, 48), (2, 2, 1))
        self.both = _stack((48, 48), (1,))
        self.head = nn.Conv2d(48, 1 + 4 + 10, 1)

    def forward(self, pixels: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch 15 cells cells"]:
        near = self.near(pixels)
        far = F.interpolate(self.far(near), scale_factor=4, mode="bilinear")
        return self.head(self.both(near + far))


class FaceParser(nn.Module):
    """A small U-Net: a label of PARTS for every pixel of an aligned face."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = _stack((3, 16), (1,)), _stack((16, 32, 32), (2, 1))
        self.down3 = _stack((32, 64, 64, 32), (2, 1, 1))
        self.up2, self.up1 = _stack((32, 16), (1,)), _stack((16, 16), (1,))
        self.head = nn.Conv2d(16, len(PARTS), 1)

    def forward(self, pixels: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch parts side side"]:
        fine = self.down1(pixels)
        middle = self.down2(fine)
        middle = self.up2(middle + F.interpolate(self.down3(middle), scale_factor=2, mode="bilinear"))
        return self.head(self.up1(fine + F.interpolate(middle, scale_factor=2, mode="bilinear")))


class FaceRecogniser(nn.Module):
    """An aligned face -> a vector that is the same person's in any pose, dress and light wall."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = _stack((3, 24, 48, 72, 96), (2, 2, 2, 2))
        self.out = nn.Linear(96 * 16, dim)
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)

    def forward(self, pixels: Float[Tensor, "batch 3 64 64"]) -> Float[Tensor, "batch dim"]:
        return self.norm(self.out(self.layers(pixels).flatten(1)))


class PocketFaces(ModelMixin, ConfigMixin):
    """Detector, recogniser and parser in one, behind the interfaces of models/common/faces.py."""

    @register_to_config
    def __init__(self, identity_dim: int = 64) -> None:
        super().__init__()
        self.finder, self.parser, self.recogniser = FaceFinder(), FaceParser(), FaceRecogniser(identity_dim)

    @torch.no_grad()
    def detect(self, image: np.ndarray) -> list[DetectedFace]:
        """Every face of a picture uint8 [height, width, 3], in no order."""
        square, scale, (left, top) = _square(image)
        found = self.finder(self._pixels(square))[0].float()
        score = found[0].sigmoid()
        peaks = F.max_pool2d(score[None], 5, 1, 2)[0] == score
        faces = []
        for row, column in torch.nonzero(peaks & (score > THRESHOLD)).tolist():
            numbers = found[1:, row, column].cpu().numpy()
            middle = np.array([column + 0.5, row + 0.5])
            corners = np.concatenate([middle - numbers[:2], middle + numbers[2:4]])
            points = middle + numbers[4:].reshape(5, 2)
            offset = np.array([left, top], dtype=np.float32)
            landmarks = (points * CELL * scale - offset).astype(np.float32)
            box = (corners * CELL * scale).astype(np.float32) - np.tile(offset, 2)
            faces.append((float(score[row, column]), box, landmarks))
        return [DetectedFace(box, landmarks, self.recognise(_aligned(image, landmarks)))
                for box, landmarks in _apart(faces)]  # fmt: skip

    def landmarks(self, image: np.ndarray) -> np.ndarray | None:
        """The largest face's landmarks [5, 2] with room added around the picture, None without a face."""
        room = max(image.shape[:2]) // 2
        faces = self.detect(np.pad(image, ((room, room), (room, room), (0, 0)), mode="edge"))
        return max(faces, key=lambda face: face.area).landmarks - np.float32(room) if faces else None

    @torch.no_grad()
    def recognise(self, aligned: np.ndarray) -> np.ndarray:
        """float32 [identity_dim] of an aligned face uint8 [side, side, 3]."""
        pixels = self._pixels(cv2.resize(aligned, (ALIGNED_SIDE, ALIGNED_SIDE), interpolation=cv2.INTER_AREA))
        return self.recogniser(pixels)[0].float().cpu().numpy()

    @torch.no_grad()
    def parse(self, normalised: np.ndarray) -> np.ndarray:
        """Labels [side, side] of an aligned face float32 [1, 3, side, side] as `parser_input` gives it."""
        side = normalised.shape[-1]
        pixels = torch.from_numpy(normalised).to(self.device, self.dtype)
        small = F.interpolate(pixels, (ALIGNED_SIDE, ALIGNED_SIDE), mode="area")
        logits = F.interpolate(self.parser(small).float(), (side, side), mode="bilinear")
        return np.asarray(PARTS)[logits[0].argmax(0).cpu().numpy()]

    def _pixels(self, image: np.ndarray) -> Tensor:
        return torch.from_numpy(parser_input(image)).to(self.device, self.dtype)


def _square(image: np.ndarray) -> tuple[np.ndarray, float, tuple[int, int]]:
    """The picture on a square of FOUND_SIDE, pixels per pixel of it, and the padding left and top."""
    height, width = image.shape[:2]
    side = max(height, width)
    left, top = (side - width) // 2, (side - height) // 2
    padded = np.pad(image, ((top, side - height - top), (left, side - width - left), (0, 0)), mode="edge")
    way = cv2.INTER_AREA if side > FOUND_SIDE else cv2.INTER_LINEAR
    return cv2.resize(padded, (FOUND_SIDE, FOUND_SIDE), interpolation=way), side / FOUND_SIDE, (left, top)


def _aligned(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    return align_face(image, landmarks, ALIGNED_SIDE)[0]


def _apart(faces: list[tuple[float, np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The surest of overlapping finds: two middles closer than half a face are one face."""
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    for _, box, landmarks in sorted(faces, key=lambda face: -face[0]):
        size = float(np.linalg.norm(box[2:] - box[:2])) / 2
        middle = (box[:2] + box[2:]) / 2
        if all(np.linalg.norm(middle - (other[:2] + other[2:]) / 2) > size / 2 for other, _ in kept):
            kept.append((box, landmarks))
    return kept
