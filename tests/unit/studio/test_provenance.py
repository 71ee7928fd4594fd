from __future__ import annotations

import stat
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from models.method import Clip
from models.pocket.world import render_clip, sample_scene
from studio.events import JobSpec
from studio.outputs import read_settings, save
from studio.provenance import clean_copy, inspect, xmp
from studio.provenance.certificate import NAME, load_or_make
from studio.provenance.report import lines, summary
from studio.provenance.watermark import THRESHOLD, detect, embed
from tests.benchmark.watermark import encoded


def render(seed: int, side: int = 64, frames: int = 20) -> np.ndarray:
    return render_clip(sample_scene(seed, "test"), frames, side, side).frames


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.fixture
def saved(preset, tmp_path):
    spec = JobSpec("job", preset.key, preset.method.name, preset.request, preset.recipe)
    return save([Clip(render(1), 8)], spec, tmp_path / "out", {"note": "kept"}, tmp_path / "certificate")


def test_the_watermark_is_invisible_and_survives_the_files_own_and_another_encoding():
    kept = 0
    for seed in range(10):
        clip = render(seed)
        marked = embed(clip)
        error = ((marked.astype(float) - clip) ** 2).mean()
        assert 10 * np.log10(255**2 / error) >= 40
        assert detect(encoded(marked, 18), search=False).found
        kept += detect(encoded(encoded(marked, 18), 28), search=False).found
    assert kept >= 9


def test_clips_without_the_mark_show_none():
    strengths = [detect(render(seed), search=seed < 4).strength for seed in range(30)]
    assert max(strengths) < THRESHOLD
    flat = np.full((4, 64, 64, 3), 128, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (4, 96, 128, 3), np.uint8)
    assert not detect(flat).found and not detect(noise).found


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (256, 320)])
def test_the_mark_is_found_after_halving_and_cropping(size):
    noise = np.random.default_rng(2).normal(size=(9, 12, 3)).astype(np.float32)
    still = np.clip(128 + 40 * cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)
    marked = embed(np.stack([np.roll(still, 2 * t, 1) for t in range(6)]))
    half = np.stack([cv2.resize(f, (size[1] // 2, size[0] // 2), interpolation=cv2.INTER_AREA) for f in marked])
    assert detect(half).found
    edge_y, edge_x = round(size[0] * 3 / 64), round(size[1] * 3 / 64)
    assert detect(marked[:, edge_y:-edge_y, edge_x:-edge_x]).found


def test_the_same_clip_gives_the_same_marked_clip_and_tiny_ones_are_left_alone():
    clip = render(3)
    assert np.array_equal(embed(clip), embed(clip.copy()))
    tiny = clip[:, :16, :16]
    assert embed(tiny) is tiny and not detect(tiny).found


def test_every_written_file_carries_every_mark(saved, tmp_path):
    found = inspect(saved.paths[0], tmp_path / "certificate")
    assert found.generated and found.source_type == xmp.TRAINED
    assert found.watermark is not None and found.watermark.found
    assert found.settings is not None and found.settings["note"] == "kept"
    assert found.manifest is not None and found.manifest.own and found.manifest.generated
    assert found.manifest.state in ("Valid", "Trusted")
    assert xmp.source_type(saved.poster) == xmp.TRAINED


def test_the_video_still_plays_as_before(saved):
    with av.open(str(saved.paths[0])) as container:
        stream = container.streams.video[0]
        assert (stream.frames, stream.average_rate, stream.codec_context.pix_fmt) == (20, Fraction(8), "yuv420p")
    content = saved.paths[0].read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_a_clean_copy_has_no_settings_the_same_frames_and_every_mark(saved, tmp_path, preset):
    copy = tmp_path / "clean.mp4"
    clean_copy(saved.paths[0], copy, tmp_path / "certificate")
    with pytest.raises(ValueError, match="settings were removed"):
        read_settings(copy)
    content = copy.read_bytes()
    for secret in (preset.request.prompt, "kept", "sketch", preset.key):
        assert secret.encode() not in content
    assert np.array_equal(decoded(copy), decoded(saved.paths[0]))
    found = inspect(copy, tmp_path / "certificate")
    assert found.generated and found.source_type and found.manifest and found.watermark and found.watermark.found
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_changed_file_is_told(saved, tmp_path):
    content = bytearray(saved.paths[0].read_bytes())
    content[content.index(b"mdat") + 600] ^= 1
    changed = tmp_path / "changed.mp4"
    changed.write_bytes(content)
    found = inspect(changed, tmp_path / "certificate")
    assert found.manifest is not None and found.manifest.state == "Invalid"
    assert any("changed after it was signed" in words for _, words, _ in lines(found))


def test_after_a_new_encoding_only_the_watermark_is_left(saved, tmp_path):
    frames = encoded(decoded(saved.paths[0]), 23)
    other = tmp_path / "other.mp4"
    with av.open(str(other), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    found = inspect(other, tmp_path / "certificate")
    assert found.source_type is None and found.manifest is None and found.settings is None
    assert found.watermark is not None and found.watermark.found and "generated" in summary(found)


def test_a_foreign_picture_shows_nothing_and_says_that_this_proves_nothing(tmp_path):
    picture = tmp_path / "photo.png"
    Image.fromarray(render(4)[0]).save(picture)
    found = inspect(picture, tmp_path)
    assert not found.generated and "does not show" in summary(found)
    assert next(words for _, words, _ in lines(found)) == "None."


@pytest.mark.parametrize("content", [b"", b"words", b"\0\0\0\x18ftypmp42" + b"\0" * 40, b"\xff" * 3000])
def test_what_is_no_video_is_refused_in_a_sentence(tmp_path, content):
    path = tmp_path / "file.mp4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"neither a video nor a picture|is not a video that can be read"):
        inspect(path, tmp_path)
    with pytest.raises(ValueError, match="not a video that can be copied"):
        clean_copy(path, tmp_path / "copy.mp4", tmp_path)


def test_the_certificate_is_made_once_and_for_its_owner_alone(tmp_path):
    first = load_or_make(tmp_path / "deep" / "folder")
    assert load_or_make(tmp_path / "deep" / "folder") == first
    assert stat.S_IMODE((tmp_path / "deep" / "folder" / NAME).stat().st_mode) == 0o600
    assert load_or_make(tmp_path / "other").serial != first.serial


def test_a_certificate_of_ones_own_is_used_and_a_broken_one_costs_only_the_signature(preset, tmp_path):
    own = load_or_make(tmp_path / "made")
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / NAME).write_bytes(own.chain + own.key)
    spec = JobSpec("job", preset.key, preset.method.name, preset.request, preset.recipe)
    signed = save([Clip(render(1, frames=4), 8)], spec, tmp_path, None, folder).paths[0]
    found = inspect(signed, tmp_path / "made")
    assert found.manifest is not None and found.manifest.own
    (folder / NAME).write_text("no certificate")
    with pytest.raises(ValueError, match="must hold one PRIVATE KEY"):
        load_or_make(folder)
    unsigned = save([Clip(render(1, frames=4), 8)], spec, tmp_path, None, folder).paths[0]
    found = inspect(unsigned, folder)
    assert found.manifest is None and found.generated


def test_words_tell_what_each_mark_proves(saved, tmp_path):
    told = {title: (words, proof) for title, words, proof in lines(inspect(saved.paths[0], tmp_path / "certificate"))}
    assert "this installation" in told["Signed statement (C2PA)"][0]
    assert "not proof" in told["Invisible watermark"][1]
    assert "seed 42" in told["Settings"][0]
