"""Only videos whose readers open no other file, and no more of them than fits in memory."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from studio import video_files
from studio.video_files import open_video, read_frames, sampled_frames


def film(path: Path, frames: int = 12, side: int = 32, kind: str = "mp4") -> Path:
    with av.open(str(path), "w", kind) as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
        for index in range(frames):
            picture = np.full((side, side, 3), 10 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("kind", ["mp4", "mov", "matroska"])
def test_a_video_is_known_by_its_content_whatever_its_name(tmp_path, kind):
    frames, fps = read_frames(film(tmp_path / "file.bin", kind=kind))
    assert (len(frames), fps) == (12, 8.0) and frames[0].shape == (32, 32, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{file}\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile '{file}'\n",
        b"<?xml version='1.0'?><MPD><BaseURL>{file}</BaseURL></MPD>",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video 5000 RTP/AVP 96\r\n",
        b"",
        b"\0\0\0\x18ftypmp42" + b"\0" * 40,
        b"\x1a\x45\xdf\xa3" + b"\xff" * 90,
    ],
)
def test_lists_that_name_other_files_and_damaged_videos_are_refused(tmp_path, content):
    other = film(tmp_path / "secret.mp4")
    path = tmp_path / "list.mp4"
    path.write_bytes(content.replace(b"{file}", str(other).encode()))
    with pytest.raises(ValueError, match=r"list\.mp4 "), open_video(path) as container:
        list(container.decode(video=0))


def test_what_is_too_large_for_memory_is_refused_before_and_while_it_is_read(tmp_path, monkeypatch):
    path = film(tmp_path / "film.mp4")
    with pytest.raises(ValueError, match="too long or too large"):
        read_frames(path, most_bytes=11 * 3 * 32 * 32)
    monkeypatch.setattr(video_files, "MOST_FRAMES", 11)
    with pytest.raises(ValueError, match="12 frames; at most 11"):
        read_frames(path)
    monkeypatch.setattr(video_files, "MOST_PIXELS", 1000)
    with pytest.raises(ValueError, match="32x32 pixels"):
        read_frames(path)


def test_samples_are_spread_over_the_video_and_within_their_bytes(tmp_path):
    path = film(tmp_path / "film.mp4")
    picked = sampled_frames(path, 4, 1 << 20)
    assert [round(float(frame.mean()), -1) for frame in picked] == [0, 30, 60, 90]
    assert len(sampled_frames(path, 4, 2 * 3 * 32 * 32)) == 2
