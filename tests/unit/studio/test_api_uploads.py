"""What a client sends before it becomes a request: files, faces, and settings that name files."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.compare.brief import Role
from studio.events import SHIPPED
from studio.presets import load_presets
from studio.ui.api.uploads import check_consent, request_of, uploaded

PRESETS = load_presets(SHIPPED)
FACE = PRESETS["echovideo/pocket"]
CAMERAS = PRESETS["cvd/full"]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Gradio's folder of uploads, with one in it."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads" / "digest").mkdir(parents=True)
    (tmp_path / "uploads" / "digest" / "face.png").write_bytes(b"picture")
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    return tmp_path / "uploads"


def test_an_upload_is_taken_and_none_is_none(folder):
    face = folder / "digest" / "face.png"
    assert uploaded({"path": str(face)}, "person") == face and uploaded(None, "person") is None


@pytest.mark.parametrize(
    "file",
    [
        {"path": "/etc/passwd"},
        {"path": "{folder}/../secret.txt"},
        {"path": "{folder}/digest"},
        {"path": "{folder}/digest/gone.png"},
        {"path": "{folder}/link"},
        {"path": "{folder}/digest/face.png\0.txt"},
        {"path": 7},
        {"url": "http://127.0.0.1/"},
        "{folder}/digest/face.png",
        ["a"],
    ],
)
def test_everything_else_is_refused_without_naming_it(folder, file):
    (folder / "link").symlink_to(folder.parent / "secret.txt")
    if isinstance(file, dict) and isinstance(file.get("path"), str):
        file = {"path": file["path"].format(folder=folder)}
    with pytest.raises(ValueError, match="person must be a file that was uploaded first") as refused:
        uploaded(file, "person")
    assert str(folder) not in str(refused.value)


def test_a_face_needs_the_words_of_the_page(folder):
    pictures: dict[Role, Path | None] = {"person": folder / "digest" / "face.png", "subject": None}
    with pytest.raises(ValueError, match="Send consent=true"):
        check_consent(FACE, pictures, consent=False)
    check_consent(FACE, pictures, consent=True)
    check_consent(FACE, {"person": None}, consent=False)  # the studio's own pictures


def test_a_picture_goes_into_the_field_of_its_role(folder):
    picture = folder / "digest" / "face.png"
    request = request_of(FACE, {"prompt": "a man walks"}, {"person": picture, "subject": None})
    assert vars(request)["face"] == picture
    with pytest.raises(ValueError, match="takes no picture of a subject"):
        request_of(FACE, {}, {"person": None, "subject": picture})


def test_settings_name_no_file_of_this_machine():
    with pytest.raises(ValueError, match="face is a picture; send it as person or subject"):
        request_of(FACE, {"face": "/etc/passwd"}, {})
    with pytest.raises(ValueError, match=r"There is no camera file at 'path.txt'"):
        request_of(CAMERAS, {"cameras": "/home/me/path.txt"}, {})
    assert vars(request_of(CAMERAS, {"cameras": "circle"}, {}))["cameras"] == "circle"
