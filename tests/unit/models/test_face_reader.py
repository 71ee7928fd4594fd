"""From a picture file to the faces a method sees: several, tight crops, none; and files that are no pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.common.face_reader import FaceReader, with_room
from models.common.faces import DetectedFace, NoFaceError, scaled_template
from models.common.pictures import read_picture

RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)
SIDE = 32


class SquareFinder:
    """Every coloured square is a face, unless it touches the picture's edge, as detectors have it."""

    def detect(self, image: np.ndarray) -> list[DetectedFace]:
        found = []
        for identity, colour in enumerate((RED, GREEN, BLUE)):
            rows, columns = np.nonzero((image == colour).all(-1))
            if len(rows) and rows.min() > 0 and columns.min() > 0 and rows.max() < len(image) - 1:
                box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float32)
                landmarks = box[:2] + scaled_template(1) * (box[2:] - box[:2])
                found.append(DetectedFace(box, landmarks.astype(np.float32), np.full(3, identity, np.float32)))
        return found[::-1]  # no order is promised

    def landmarks(self, image: np.ndarray) -> np.ndarray | None:
        return None

    def recognise(self, aligned: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing asked for it")

    def parse(self, normalised: np.ndarray) -> np.ndarray:
        return np.ones(normalised.shape[2:], np.int64)


def canvas(*squares: tuple[int, int, tuple[int, int, int]], height: int = 64, width: int = 160) -> np.ndarray:
    """A white picture with squares (left, side, colour) eight pixels below its upper edge."""
    image = np.full((height, width, 3), 255, np.uint8)
    for left, side, colour in squares:
        image[8 : 8 + side, left : left + side] = colour
    return image


READER = FaceReader(SquareFinder(), SquareFinder(), SIDE)
THREE = canvas((100, 24, RED), (8, 40, GREEN), (60, 16, BLUE))


def test_every_face_comes_from_left_to_right_with_the_largest_named():
    faces, largest = READER.read_all(THREE)
    assert [face.identity[0] for face in faces] == [1, 2, 0]
    assert largest == 0
    assert [face.picture.reshape(-1, 3).argmax(1)[SIDE * SIDE // 2] for face in faces] == [1, 2, 0]


@pytest.mark.parametrize(("which", "identity"), [(0, 1), (1, 1), (2, 2), (3, 0)])
def test_nought_takes_the_largest_and_numbers_count_from_the_left(which, identity):
    assert READER.read(THREE, which).identity[0] == identity


def test_a_number_beyond_the_faces_is_a_sentence():
    with pytest.raises(ValueError, match="Face 4 was asked for, the picture has 3"):
        READER.read(THREE, 4)


def test_a_tight_crop_gets_room_and_is_found():
    tight = np.full((40, 40, 3), RED, np.uint8)
    assert not SquareFinder().detect(tight)
    face = READER.read(tight)
    assert face.identity[0] == 0
    assert np.array_equal(face.picture[4:-4, 4:-4], np.full((24, 24, 3), RED, np.uint8))


def test_room_is_black_on_every_side_and_changes_nothing_inside():
    image = np.full((10, 20, 3), 7, np.uint8)
    roomy = with_room(image)
    assert roomy.shape == (20, 40, 3)
    assert np.array_equal(roomy[5:15, 10:30], image)
    assert roomy.sum() == image.sum()


def test_no_face_even_with_room_says_what_to_do():
    with pytest.raises(NoFaceError, match="one face is large, sharp and seen from the front"):
        READER.read(canvas())


def test_a_turned_photograph_is_turned_back(tmp_path):
    picture = Image.fromarray(canvas((8, 40, GREEN)))
    exif = picture.getexif()
    exif[0x0112] = 6  # the camera was held upright
    picture.save(tmp_path / "turned.png", exif=exif)
    assert read_picture(tmp_path / "turned.png").shape == (160, 64, 3)


def test_what_is_transparent_lies_on_white(tmp_path):
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[10:, :, :] = (10, 20, 30, 255)
    Image.fromarray(pixels).save(tmp_path / "see-through.png")
    read = read_picture(tmp_path / "see-through.png")
    assert (read[:10] == 255).all() and (read[10:] == (10, 20, 30)).all()


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_a_file_that_is_no_picture_is_a_sentence(tmp_path, content):
    (tmp_path / "face.png").write_bytes(content)
    with pytest.raises(ValueError, match="The file is not a picture that can be read"):
        read_picture(tmp_path / "face.png")


def test_pictures_too_small_or_too_large_are_sentences(tmp_path, monkeypatch):
    Image.new("RGB", (300, 8)).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match="has 300x8 pixels; it needs 16 on each side"):
        read_picture(tmp_path / "small.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    Image.new("RGB", (60, 60)).save(tmp_path / "large.png")
    with pytest.raises(ValueError, match="too many pixels"):
        read_picture(Path(tmp_path / "large.png"))
