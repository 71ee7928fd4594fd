"""Pictures and camera files inside a copy of a video: asked for, restored, never trusted."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import struct

import numpy as np
import pytest
from PIL import Image

from models.method import Clip
from studio import provenance
from studio.enclosed import BOX, enclose, enclosed, own_files
from studio.events import JobSpec
from studio.outputs import read_settings, save
from studio.presets import load_presets, request_with, shipped_pictures
from studio.restored import restored
from studio.video_files import read_frames

PRESETS = load_presets()
PATHS = "https://example\n" + "".join(
    f"{moment} 0.9 0.9 0.5 0.5 0 0 1 0 0 {moment / 10} 0 1 0 0 0 0 1 0\n" for moment in range(16)
)


@pytest.fixture
def face(tmp_path):
    path = tmp_path / "my holiday.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (80, 80, 3), np.uint8)).save(path)
    return path


def film(preset, request, folder, certificates=None):
    frames = np.random.default_rng(0).integers(60, 200, (4, 64, 64, 3), np.uint8)
    spec = JobSpec("job", preset.key, preset.method.name, request, preset.recipe)
    return save([Clip(frames, 8)], spec, folder / "out", None, certificates).paths[0]


def test_a_picture_comes_back_byte_for_byte_with_the_same_frames_and_settings(face, tmp_path):
    preset = PRESETS["echovideo/pocket"]
    request = request_with(preset.request, {"face": face, "seed": 3})
    path = film(preset, request, tmp_path, tmp_path / "certificate")
    copy = tmp_path / "copy.mp4"
    enclose(path, copy, own_files(request), tmp_path / "certificate")
    (found,) = enclosed(copy)
    assert (found.field, found.suffix, found.content) == ("face", ".png", face.read_bytes())
    assert read_settings(copy) == read_settings(path)
    assert np.array_equal(read_frames(copy)[0], read_frames(path)[0])
    findings = provenance.inspect(copy, tmp_path / "certificate")
    assert findings.generated
    assert findings.manifest is not None
    assert findings.manifest.state == "Valid"
    back = restored(read_settings(copy), PRESETS, {"face": [face]})
    assert request_with(preset.request, back.values) == request
    assert back.remarks == ()


def test_the_result_itself_and_its_clean_copy_hold_none(face, tmp_path):
    preset = PRESETS["echovideo/pocket"]
    request = request_with(preset.request, {"face": face})
    path = film(preset, request, tmp_path)
    assert enclosed(path) == ()
    enclose(path, tmp_path / "copy.mp4", own_files(request), None)
    provenance.clean_copy(tmp_path / "copy.mp4", tmp_path / "clean.mp4", tmp_path / "certificate")
    assert enclosed(tmp_path / "clean.mp4") == ()
    content = (tmp_path / "clean.mp4").read_bytes()
    assert face.read_bytes()[100:200] not in content
    assert b"holiday" not in (tmp_path / "copy.mp4").read_bytes()


def test_camera_files_come_back_in_their_places(tmp_path):
    preset = PRESETS["cvd/pocket"]
    files = [tmp_path / f"path{index}.txt" for index in range(2)]
    for file in files:
        file.write_text(PATHS)
    request = request_with(preset.request, {"cameras": f"{files[0]}; orbit left; {files[1]}", "num_views": 3})
    path = film(preset, request, tmp_path)
    bare = restored(read_settings(path), PRESETS)
    assert bare.remarks[0].startswith("Camera paths: the camera file is not inside. Add it again.")
    enclose(path, tmp_path / "copy.mp4", own_files(request), None)
    assert [found.suffix for found in enclosed(tmp_path / "copy.mp4")] == [".txt", ".txt"]
    back = restored(read_settings(tmp_path / "copy.mp4"), PRESETS, {"cameras": files})
    assert request_with(preset.request, back.values) == request


def test_a_path_that_the_video_names_is_not_even_looked_for(tmp_path):
    preset = PRESETS["cvd/pocket"]
    ours, secret = tmp_path / "ours.txt", tmp_path / "secret.txt"
    ours.write_text(PATHS)
    secret.write_text(PATHS)
    said = {"method": "cvd", "preset": preset.key, "request": dataclasses.asdict(preset.request)}
    told = []
    for path in (secret, tmp_path / "nothing.txt"):
        said["request"]["cameras"] = f"{ours}; {path}"
        back = restored(said, PRESETS, {"cameras": [ours]})
        assert back.values["cameras"] == "circle"
        told.append(back.remarks)
    assert told[0] == told[1]


def test_what_came_with_the_studio_is_not_put_in():
    for preset in PRESETS.values():
        assert own_files(preset.request) == {}


def boxed(path, body: bytes):
    with path.open("ab") as file:
        file.write(struct.pack(">I4s16s", 24 + len(body), b"uuid", BOX) + body)
    return path


def packed(listed, content: bytes = b"") -> bytes:
    header = json.dumps(listed).encode()
    return struct.pack(">I", len(header)) + header + content


@pytest.mark.parametrize(
    "body",
    [
        packed([["face", 9]], b"\x89PNG"),
        packed([["face", -1]], b"\x89PNG"),
        packed([["face", 0]] * 99),
        packed({"face": 1}),
        packed([["face"]]),
        packed(3),
        packed([["face", float("inf")]]),
        packed([["face", 4]], b"\x00\xff\xfe\xfd"),
        struct.pack(">I", 2**31) + b"[",
        b"\xff\xff\xff\xff",
    ],
)
def test_a_damaged_box_is_refused_in_words(tmp_path, body):
    path = tmp_path / "video.mp4"
    path.write_bytes(struct.pack(">I4s", 8, b"free"))
    with pytest.raises(ValueError, match="inside this video"):
        enclosed(boxed(path, body))


def test_what_the_file_names_a_picture_decides_nothing(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(struct.pack(">I4s", 8, b"free"))
    (found,) = enclosed(boxed(path, packed([["../../face.py", 4]], b"\x89PNG")))
    assert found.suffix == ".png"
    preset = PRESETS["echovideo/pocket"]
    said = {"method": "echovideo", "preset": preset.key, "request": dataclasses.asdict(preset.request)}
    said["request"]["face"] = str(said["request"]["face"])
    shelf = shipped_pictures(preset, "face")
    back = restored(said, PRESETS, {found.field: [shelf[0]]})
    assert back.values["face"] == said["request"]["face"]
    assert hashlib.sha256(found.content).hexdigest() not in str(back)
