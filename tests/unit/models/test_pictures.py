"""Pictures of strangers: known formats only, by content, and never more than fits."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from models.common.pictures import MEGAPIXELS, NoPicture, UnusablePicture, read_picture


def encoded(kind: str, size: tuple[int, int] = (64, 48), mode: str = "RGB", frames: int = 1) -> bytes:
    out = io.BytesIO()
    pictures = [Image.new(mode, size, 80 * index) for index in range(frames)]
    more = {"save_all": True, "append_images": pictures[1:]} if frames > 1 else {}
    pictures[0].save(out, kind, **more)
    return out.getvalue()


def read(tmp_path, content: bytes, name: str = "upload.png"):
    path = tmp_path / name
    path.write_bytes(content)
    return read_picture(path)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", "RGB"), ("PNG", "P"), ("PNG", "I;16"), ("PNG", "LA"), ("JPEG", "CMYK"), ("JPEG", "L"), ("WEBP", "RGB"),
     ("BMP", "RGB"), ("MPO", "RGB")],
)  # fmt: skip
def test_a_picture_is_known_by_its_content_whatever_its_name(tmp_path, kind, mode):
    assert read(tmp_path, encoded(kind, mode=mode), "named-wrongly.jpg").shape == (48, 64, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n%%EndComments\n",
        encoded("GIF"), encoded("TIFF"), encoded("ICO"), encoded("PNG")[:60], encoded("JPEG", (400, 400))[:300],
    ],
)  # fmt: skip
def test_other_formats_and_cut_files_are_no_pictures(tmp_path, content):
    with pytest.raises(NoPicture, match="Use a PNG, JPEG or WebP file"):
        read(tmp_path, content)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_refused(tmp_path, kind):
    with pytest.raises(UnusablePicture, match="animated"):
        read(tmp_path, encoded(kind, frames=3))


def test_a_bomb_is_refused_by_its_header(tmp_path, monkeypatch):
    bomb = encoded("PNG", (20_000, 3), "1")
    with pytest.raises(ValueError, match="pixels"):
        read(tmp_path, bomb)
    monkeypatch.setenv(MEGAPIXELS, "1")
    with pytest.raises(UnusablePicture, match="1001x1000; at most 1 million"):
        read(tmp_path, encoded("PNG", (1001, 1000), "1"))
    assert read(tmp_path, encoded("PNG", (1000, 1000), "1")).shape == (1000, 1000, 3)
