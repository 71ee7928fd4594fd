"""Finding the right face, aligning it, masking what is not a face."""

from __future__ import annotations

import numpy as np
import pytest

from models.common import faces
from models.common.faces import DetectedFace, NoFaceError


class Detector:
    """Finds what it is told to find."""

    def __init__(self, *found: DetectedFace, landmarks: np.ndarray | None = None) -> None:
        self.found, self.second = list(found), landmarks

    def detect(self, image: np.ndarray) -> list[DetectedFace]:
        return self.found

    def landmarks(self, image: np.ndarray) -> np.ndarray | None:
        return self.second

    def recognise(self, aligned: np.ndarray) -> np.ndarray:
        assert aligned.shape == (64, 64, 3)
        return np.full(4, 7, np.float32)


def found(left: float, size: float, name: float) -> DetectedFace:
    box = np.array([left, 0, left + size, size], np.float32)
    return DetectedFace(box, faces.scaled_template(64), np.full(4, name, np.float32))


def everything_is_skin(pixels: np.ndarray) -> np.ndarray:
    return np.ones(pixels.shape[2:], np.uint8)


PICTURE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_the_largest_face_is_taken_unless_one_is_chosen():
    detector = Detector(found(30, 10, 1), found(0, 20, 2), found(60, 15, 3))
    take = [faces.extract_face(PICTURE, detector, everything_is_skin, choose, 64) for choose in (None, 0, 1, 2)]
    assert [face.identity[0] for face in take] == [2, 2, 1, 3]
    with pytest.raises(ValueError, match="Face 4 was asked for, the picture has 3"):
        faces.extract_face(PICTURE, detector, everything_is_skin, 3, 64)


def test_without_a_face_the_second_detector_is_asked_and_then_the_person():
    second = Detector(landmarks=faces.scaled_template(64))
    assert faces.extract_face(PICTURE, second, everything_is_skin, size=64).identity[0] == 7
    with pytest.raises(NoFaceError, match="Use a picture where one face is large"):
        faces.extract_face(PICTURE, Detector(), everything_is_skin, size=64)


def test_a_face_on_the_template_stays_where_it_is():
    aligned, matrix = faces.align_face(PICTURE, faces.scaled_template(64), 64)
    np.testing.assert_allclose(matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-5)
    assert np.array_equal(aligned, PICTURE)


def test_landmarks_on_one_point_are_a_sentence():
    with pytest.raises(NoFaceError, match="could not be aligned"):
        faces.align_face(PICTURE, np.zeros((5, 2), np.float32), 64)


def test_hair_stays_and_what_is_not_the_face_becomes_black():
    labels = np.arange(19).repeat(4)[:64][None].repeat(64, 0).astype(np.uint8)
    masked = faces.mask_face(np.full((64, 64, 3), 200, np.uint8), lambda pixels: labels)
    kept = {int(label) for label in np.unique(labels[masked[..., 0] > 0])}
    assert kept == set(range(16)) - set(faces.NOT_FACE)
    hair = faces.mask_face(np.full((8, 8, 3), 9, np.uint8), lambda pixels: np.full((8, 8), 17))
    assert (hair == 9).all()


@pytest.mark.parametrize(
    ("shape", "ratio", "padded"),
    [
        ((24, 24), 16 / 9, (24, 42)),
        ((24, 24), 9 / 16, (42, 24)),
        ((20, 41), 1.25, (20, 41)),
        ((41, 20), 1.3, (41, 26)),
    ],
)
def test_padding_adds_black_and_cuts_nothing(shape, ratio, padded):
    image = np.full((*shape, 3), 5, np.uint8)
    result = faces.pad_to_aspect(image, ratio)
    assert result.shape == (*padded, 3)
    assert (result == 5).sum() == image.size


def test_a_long_edge_is_limited_and_never_lengthened():
    assert faces.limit_long_edge(np.zeros((2048, 1000, 3), np.uint8), 1024).shape == (1024, 500, 3)
    assert faces.limit_long_edge(PICTURE, 1024) is PICTURE
