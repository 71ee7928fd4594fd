"""Faces in pictures: finding, aligning, masking. What EchoVideo sees of a person comes from here.

Detection, recognition and parsing are interfaces; the steps between them are plain arithmetic on uint8 RGB arrays
[height, width, 3]. Source of the numbers: bytedance/EchoVideo utils.py; spec in the method's README.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

FACE_SIZE = 512
LONGEST_EDGE = 1024
# left eye, right eye, nose, left and right corner of the mouth, as (x, y) in a frame 96 wide and 112 high
TEMPLATE = np.array(
    [[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], [33.5493, 92.3655], [62.7299, 92.2041]],
    dtype=np.float32,
)
TEMPLATE_FRAME = np.array([96, 112], dtype=np.float32)
# some of CelebAMask-HQ's 19 labels, which face parsers use
BACKGROUND, SKIN, NOSE, NECK, CLOTH, HAIR, HAT = 0, 1, 10, 14, 16, 17, 18
# those that are not the face: background, ears, earring, neck, necklace, cloth, hat. Hair (17) stays.
NOT_FACE = (0, 7, 8, 9, 14, 15, 16, 18)
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)

FaceParser = Callable[[np.ndarray], np.ndarray]  # normalised [1, 3, size, size] -> labels [size, size]


@dataclass(frozen=True)
class DetectedFace:
    """A face in a picture: box (left, top, right, bottom), five landmarks (x, y), recogniser's vector."""

    box: np.ndarray
    landmarks: np.ndarray
    identity: np.ndarray

    @property
    def area(self) -> float:
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


@dataclass(frozen=True)
class Face:
    """What a method is given: the aligned, masked picture and the recogniser's raw vector."""

    picture: np.ndarray  # uint8 [size, size, 3], RGB
    identity: np.ndarray  # float32 [dim]


@runtime_checkable
class FaceDetector(Protocol):
    """Finds and recognises faces; `landmarks` and `recognise` are the second way, when `detect` finds none."""

    def detect(self, image: np.ndarray) -> list[DetectedFace]: ...

    def landmarks(self, image: np.ndarray) -> np.ndarray | None: ...

    def recognise(self, aligned: np.ndarray) -> np.ndarray: ...


class NoFaceError(ValueError):
    """No face was found, even with room added around the picture."""


def extract_face(
    image: np.ndarray, detector: FaceDetector, parser: FaceParser, choose: int | None = None, size: int = FACE_SIZE
) -> Face:
    """The largest face of a picture, or the `choose`th from the left, aligned and masked."""
    image = limit_long_edge(image, LONGEST_EDGE)
    return cut_face(image, chosen_face(find_faces(image, detector, size), choose), parser, size)


def find_faces(image: np.ndarray, detector: FaceDetector, size: int = FACE_SIZE) -> list[DetectedFace]:
    """Every face from left to right; the detector's second way when its first finds none. NoFaceError for none."""
    faces = detector.detect(image)
    if faces:
        return sorted(faces, key=lambda face: float(face.box[0]))
    landmarks = detector.landmarks(image)
    if landmarks is None:
        raise NoFaceError("No face was found. Use a picture where one face is large, sharp and seen from the front.")
    aligned, _ = align_face(image, landmarks, size)
    return [DetectedFace(np.concatenate([landmarks.min(0), landmarks.max(0)]), landmarks, detector.recognise(aligned))]


def cut_face(image: np.ndarray, face: DetectedFace, parser: FaceParser, size: int = FACE_SIZE) -> Face:
    """A found face, aligned and masked."""
    aligned, _ = align_face(image, face.landmarks, size)
    return Face(mask_face(aligned, parser), face.identity)


def chosen_face(faces: list[DetectedFace], choose: int | None = None) -> DetectedFace:
    """The largest, or the `choose`th from the left, counted from 0."""
    if choose is None:
        return sorted(faces, key=lambda face: face.area)[-1]
    if not 0 <= choose < len(faces):
        raise ValueError(f"Face {choose + 1} was asked for, the picture has {len(faces)}.")
    return faces[choose]


def limit_long_edge(image: np.ndarray, edge: int) -> np.ndarray:
    """Shrink so that no side is longer than `edge`; never enlarge."""
    height, width = image.shape[:2]
    longest = max(height, width)
    if longest <= edge:
        return image
    size = (int(width * edge / longest), int(height * edge / longest))
    return cv2.resize(image, size, interpolation=cv2.INTER_LANCZOS4)


def scaled_template(size: int) -> np.ndarray:
    """The landmarks' places in a square of `size` pixels; x and y are stretched differently."""
    return TEMPLATE / TEMPLATE_FRAME * size


def align_face(image: np.ndarray, landmarks: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The face turned, moved and scaled onto the template, and the 2x3 matrix that does it."""
    matrix, _ = cv2.estimateAffinePartial2D(landmarks, scaled_template(size), method=cv2.LMEDS)
    if matrix is None:
        raise NoFaceError("The face could not be aligned: its landmarks lie on one point. Use another picture.")
    return cv2.warpAffine(image, matrix, (size, size), borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0)), matrix


def parser_input(aligned: np.ndarray) -> np.ndarray:
    """float32 [1, 3, size, size], normalised as the parser was trained."""
    normalised = (aligned.astype(np.float32) / 255 - IMAGENET_MEAN) / IMAGENET_STD
    return normalised.transpose(2, 0, 1)[None]


def mask_face(aligned: np.ndarray, parser: FaceParser) -> np.ndarray:
    """Black wherever the parser sees no face and no hair."""
    labels = parser(parser_input(aligned))
    return np.where(np.isin(labels, NOT_FACE)[..., None], np.uint8(0), aligned)


def pad_to_aspect(image: np.ndarray, ratio: float) -> np.ndarray:
    """Black bars so that width / height comes to `ratio`, measured on the shorter side; nothing is cut off."""
    height, width = image.shape[:2]
    shortest = min(height, width)
    wanted = (shortest, int(shortest * ratio)) if ratio > 1 else (int(shortest / ratio), shortest)
    down, across = max(wanted[0], height) - height, max(wanted[1], width) - width
    return np.pad(image, ((down // 2, down - down // 2), (across // 2, across - across // 2), (0, 0)))
