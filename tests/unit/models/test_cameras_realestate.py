"""RealEstate10K files: what is read, and what is said about bad ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.common.cameras import CameraFileError, CameraTrack, read_camera_file
from models.common.cameras.paths import camera_path

ADDRESS = "https://example.invalid/walk"


def lines(num_frames: int) -> list[str]:
    """A clean file: an orbit, one line per frame."""
    rows = [ADDRESS]
    for index, pose in enumerate(camera_path("orbit left", num_frames)):
        numbers = [index * 33_000, 0.6, 1.0, 0.5, 0.5, 0, 0, *np.linalg.inv(pose)[:3].ravel()]
        rows.append(" ".join(f"{number:.9f}" for number in numbers))
    return rows


def write(folder: Path, rows: list[str]) -> Path:
    path = folder / "walk.txt"
    path.write_text("\n".join(rows) + "\n")
    return path


def read(folder: Path, rows: list[str]) -> CameraTrack:
    return read_camera_file(write(folder, rows))


def test_a_clean_file_is_read_and_resampled(tmp_path):
    track = read(tmp_path, lines(31))
    assert track.world_to_camera.shape == (31, 4, 4)
    np.testing.assert_allclose(track.relative(), camera_path("orbit left", 31), atol=1e-8)
    sixteen = track.resampled(16)
    np.testing.assert_allclose(sixteen.camera_to_world, track.camera_to_world[::2], atol=1e-9)
    np.testing.assert_allclose(sixteen.timestamps, track.timestamps[::2])
    assert track.resampled(31) is track


def test_a_file_without_address_is_read_too(tmp_path):
    assert len(read(tmp_path, lines(5)[1:]).timestamps) == 5


def edited(rows: list[str], line: int, column: int, word: str) -> list[str]:
    words = rows[line - 1].split()
    words[column - 1] = word
    return [*rows[: line - 1], " ".join(words), *rows[line:]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (edited(lines(6), 3, 8, "1.4"), r"walk\.txt, line 3: the rotation is not orthonormal"),
        (edited(lines(6), 4, 9, "nan"), r"walk\.txt, line 4, column 9: 'nan' is not a finite number"),
        (edited(lines(6), 4, 12, "left"), r"walk\.txt, line 4, column 12: 'left' is not a number"),
        (edited(lines(6), 2, 2, "0"), r"walk\.txt, line 2: the focal lengths are 0 and 1"),
        ([*lines(6), "1 2 3"], r"walk\.txt, line 8 has 3 columns; a RealEstate10K line has 19"),
        (lines(3), r"walk\.txt has 3 camera lines; a path needs at least 4"),
        ([], r"walk\.txt has 0 camera lines"),
        ([ADDRESS] + ["1"] * 10_000, r"walk\.txt has 10,000 camera lines; at most 2,000"),
    ],
    ids=["rotation", "nan", "word", "focal", "columns", "three frames", "empty", "ten thousand frames"],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, rows, message):
    with pytest.raises(CameraFileError, match=message):
        read(tmp_path, rows)


def test_a_mirrored_rotation_is_refused(tmp_path):
    rows = lines(6)
    words = rows[1].split()
    words[7:10] = [str(-float(word)) for word in words[7:10]]
    with pytest.raises(CameraFileError, match="line 2: the rotation is mirrored"):
        read(tmp_path, [rows[0], " ".join(words), *rows[2:]])


def test_ten_thousand_real_frames_are_too_many(tmp_path):
    with pytest.raises(CameraFileError, match=r"walk\.txt has .* camera lines; at most"):
        read(tmp_path, [ADDRESS] + lines(6)[1:2] * 10_000)


def test_a_picture_is_not_a_camera_file(tmp_path):
    path = tmp_path / "photo.txt"
    path.write_bytes(bytes([0x89, 0x50, 0xFF, 0xFE]) * 50)
    with pytest.raises(CameraFileError, match=r"photo\.txt is not a text file"):
        read_camera_file(path)


def test_a_missing_file_is_said_by_name(tmp_path):
    with pytest.raises(CameraFileError, match=r"no camera file at 'gone\.txt'"):
        read_camera_file(tmp_path / "gone.txt")
