"""From a person's picture to what a method sees of it: every face, aligned and masked, tight crops included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from models.common.faces import (
    FACE_SIZE,
    LONGEST_EDGE,
    DetectedFace,
    Face,
    FaceDetector,
    NoFaceError,
    chosen_face,
    cut_face,
    find_faces,
    limit_long_edge,
)

ROOM = 0.5  # of each side, added all around a picture whose face may fill it


@runtime_checkable
class ParsesFaces(Protocol):
    """Labels of a normalised aligned face, [1, 3, size, size] -> [size, size], CelebAMask-HQ's 19 classes."""

    def parse(self, normalised: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class FaceReader:
    """A detector, a parser and the crop's size in pixels. The two may be one object."""

    detector: FaceDetector
    parser: ParsesFaces
    size: int = FACE_SIZE

    def read(self, image: np.ndarray, which: int = 0) -> Face:
        """The largest face of uint8 RGB [height, width, 3], or number `which` from the left, counted from 1."""
        image, found = self._find(image)
        return self._cut(image, chosen_face(found, which - 1 if which else None))

    def read_all(self, image: np.ndarray) -> tuple[list[Face], int]:
        """Every face from left to right, and the place of the largest."""
        image, found = self._find(image)
        largest = chosen_face(found)
        return [self._cut(image, face) for face in found], next(i for i, face in enumerate(found) if face is largest)

    def _find(self, image: np.ndarray) -> tuple[np.ndarray, list[DetectedFace]]:
        """The picture in which faces were found, which has a margin when they were too close to its edge."""
        image = limit_long_edge(image, LONGEST_EDGE)
        try:
            return image, find_faces(image, self.detector, self.size)
        except NoFaceError:
            image = limit_long_edge(with_room(image), LONGEST_EDGE)
            return image, find_faces(image, self.detector, self.size)

    def _cut(self, image: np.ndarray, face: DetectedFace) -> Face:
        return cut_face(image, face, self.parser.parse, self.size)


def with_room(image: np.ndarray) -> np.ndarray:
    """The picture in the middle of a black margin: detectors miss a face that touches the edges."""
    height, width = image.shape[:2]
    down, across = int(height * ROOM), int(width * ROOM)
    return np.pad(image, ((down, down), (across, across), (0, 0)))
