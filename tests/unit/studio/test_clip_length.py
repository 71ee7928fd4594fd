"""The length of a clip, read from an mp4's own tables where they are plain, else by FFmpeg."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.method import REPOSITORY
from studio.ui.player import length
from studio.ui.player.length import clip_length
from studio.video_files import open_video

CLIP = REPOSITORY / "presets/cvd/examples/ball-view 2.mp4"


def test_the_tables_say_what_ffmpeg_says():
    with open_video(CLIP) as container:
        stream = container.streams.video[0]
        assert length._from_tables(CLIP) == (stream.frames, float(stream.average_rate)) == (16, 8.0)


@pytest.mark.parametrize("damage", [b"moov", b"trak", b"stts", b"stsz", b"mdhd"])
def test_odd_tables_are_left_to_ffmpeg(tmp_path: Path, damage: bytes):
    path = Path(shutil.copy(CLIP, tmp_path / "odd.mp4"))
    path.write_bytes(path.read_bytes().replace(damage, b"free", 1))
    with pytest.raises(LookupError):
        length._from_tables(path)
    try:
        assert clip_length(path)[0] > 0
    except ValueError as error:
        assert "odd.mp4" in str(error)
