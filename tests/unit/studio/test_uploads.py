"""Components take what was uploaded and nothing else of this machine, whatever the request calls it."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest
from gradio.data_classes import FileData, ImageData, ListFiles

from studio.ui.uploads import OneFile, OneFileButton, Picture, uploaded_path


@pytest.fixture
def upload(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    path = tmp_path / "served" / "digest" / "upload.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"neither picture nor video")
    return path


def test_an_upload_is_handed_on_unopened(upload):
    assert Picture().preprocess(ImageData(path=str(upload))) == str(upload)
    assert OneFile().preprocess(FileData(path=str(upload))) == str(upload)
    assert OneFileButton().preprocess(ListFiles([FileData(path=str(upload))])) == str(upload)
    assert Picture().preprocess(None) is None


@pytest.mark.parametrize("where", ["secret.mp4", "served/../secret.mp4", "served/link.mp4", "gone.mp4"])
def test_another_path_of_this_machine_is_refused(upload, tmp_path, where):
    (tmp_path / "secret.mp4").write_bytes(b"of another visitor")
    (tmp_path / "served" / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    with pytest.raises(gr.Error, match="Add the file again"):
        uploaded_path(FileData(path=str(tmp_path / where)))


def test_what_holds_an_address_in_place_of_a_file_is_nothing():
    assert Picture().preprocess(ImageData(path=None, url="data:image/png;base64,AAAA")) is None
