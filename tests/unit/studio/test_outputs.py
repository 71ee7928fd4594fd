from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from models.method import Clip
from studio.events import JobSpec
from studio.outputs import OutputError, check_folder, encode_webp, read_settings, remove_unfinished, save


@pytest.fixture
def spec(preset):
    return JobSpec("job", preset.key, preset.method.name, preset.request, preset.recipe)


def square(height: int = 48, width: int = 64, frames: int = 8, name: str = "") -> Clip:
    pixels = np.full((frames, height, width, 3), (200, 40, 40), np.uint8)
    for index, frame in enumerate(pixels):
        frame[8:24, 2 * index : 2 * index + 16] = (30, 60, 220)
    return Clip(pixels, fps=8, name=name)


def decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def boxes(path: Path) -> list[bytes]:
    """The names of the mp4's outermost boxes, in order."""
    content, at, names = path.read_bytes(), 0, []
    while at < len(content):
        names.append(content[at + 4 : at + 8])
        at += int.from_bytes(content[at : at + 4], "big")
    return names


def test_a_video_is_what_every_browser_plays(spec, tmp_path):
    saved = save([square()], spec, tmp_path)
    with av.open(str(saved.paths[0])) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.frames, stream.average_rate) == (64, 48, 8, 8)
    names = boxes(saved.paths[0])
    assert names.index(b"moov") < names.index(b"mdat")
    assert saved.poster.read_bytes()[8:12] == b"WEBP"


def test_colours_come_back(spec, tmp_path):
    clip = square()
    error = np.abs(decode(save([clip], spec, tmp_path).paths[0]).astype(int) - clip.frames).mean()
    assert error < 3


def test_the_same_frames_give_the_same_video_whatever_was_in_memory_before(tmp_path):
    code = """
import sys
from pathlib import Path
import numpy as np
from models.method import Clip
from studio.outputs import _write_video
random = np.random.default_rng(0)
texture = np.kron(random.integers(0, 250, (16, 16, 3)), np.ones((4, 4, 1)))
frames = np.stack([np.roll(texture, t, 1) + random.integers(0, 6, (64, 64, 3)) for t in range(20)]).astype(np.uint8)
_write_video(Clip(frames, 8), Path(sys.argv[1]), {"method": "m", "seed": 1})
"""
    for fill in ("1", "170", "254"):  # glibc fills what it hands out with a byte derived from this
        command = [sys.executable, "-c", code, tmp_path / f"{fill}.mp4"]
        subprocess.run(command, env=os.environ | {"MALLOC_PERTURB_": fill}, check=True)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_settings_come_back_whole(spec, tmp_path, preset):
    facts = {"weights": {"vae": {"sha256": "00"}}, "seconds": 1.5, "note": "вечер"}
    settings = read_settings(save([square(name="left")], spec, tmp_path, facts).paths[0])
    assert settings["method"] == "sketch" and settings["preset"] == "sketch/pocket" and settings["seed"] == 42
    assert settings["request"]["prompt"] == preset.request.prompt
    assert settings["weights"] == facts["weights"] and settings["note"] == "вечер" and settings["clip"] == "left"


def test_odd_sizes_are_padded_to_even(spec, tmp_path):
    assert decode(save([square(47, 63)], spec, tmp_path).paths[0]).shape == (8, 48, 64, 3)


def test_several_clips_share_a_number_and_a_poster(spec, tmp_path):
    saved = save([square(name="left"), square(name="right")], spec, tmp_path)
    stem = saved.poster.stem
    assert [path.name for path in saved.paths] == [f"{stem}-left.mp4", f"{stem}-right.mp4"]
    assert sorted(tmp_path.iterdir()) == sorted([*saved.paths, saved.poster])


def test_names_are_numbered_and_never_taken_twice(spec, preset, tmp_path):
    clip, names = square(frames=2), []

    def work(id: int) -> None:
        mine = JobSpec(str(id), preset.key, "sketch", preset.request, preset.recipe)
        names.extend(path.name for path in save([clip], mine, tmp_path).paths)

    threads = [threading.Thread(target=work, args=(id,)) for id in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 8 and len(list(tmp_path.iterdir())) == 16
    assert sorted(names)[0].endswith("-0001-seed42.mp4") and sorted(names)[-1].endswith("-0008-seed42.mp4")


def test_a_named_output_is_replaced_as_a_whole(preset, tmp_path):
    output = tmp_path / "out.mp4"
    output.write_text("old")
    spec = JobSpec("job", preset.key, "sketch", preset.request, preset.recipe, output)
    saved = save([square()], spec, tmp_path / "elsewhere")
    assert saved.paths == (output,) and read_settings(output)["seed"] == 42
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "out.webp"]


def test_a_folder_that_cannot_be_written_is_one_sentence(spec, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper", Path("/sys/quintet")):
        with pytest.raises(OutputError) as caught:
            check_folder(folder)
        assert str(folder) in caught.value.message and caught.value.advice and "\n" not in str(caught.value)
        with pytest.raises(OutputError):
            save([square()], spec, folder)


@pytest.mark.parametrize("when", ["_write_video", "_write_poster", "_link_all"])
def test_a_disk_that_fills_up_leaves_nothing_behind(spec, tmp_path, monkeypatch, when):
    def full(*arguments):
        for argument in arguments:
            if isinstance(argument, Path):
                argument.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"studio.outputs.{when}", full)
    with pytest.raises(OutputError, match=r"No space left on device\. Free some space"):
        save([square()], spec, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_real_limit_on_file_size_leaves_nothing_behind(tmp_path):
    """The kernel refuses bytes beyond the limit, as it does on a full disk; in a process of its own."""
    code = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from models.method import Clip, Recipe
from studio.events import JobSpec
from studio.outputs import save
from tests.fakes.sketch import SketchRequest
frames = np.random.default_rng(0).integers(0, 256, (16, 256, 256, 3), np.uint8)
spec = JobSpec("job", "p", "sketch", SketchRequest(), Recipe("sketch", "", ()))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save([Clip(frames, 8)], spec, Path(sys.argv[1]))
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("OutputError The video cannot be written to the folder"), done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_foreign_files_are_told_apart(tmp_path):
    (tmp_path / "words.mp4").write_text("no video")
    with av.open(str(tmp_path / "other.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        container.mux(stream.encode())
    for name, words in (("gone", "no file"), ("words", "not a video"), ("other", "not made by Quintet")):
        with pytest.raises(ValueError, match=words):
            read_settings(tmp_path / f"{name}.mp4")


def test_what_a_dead_worker_left_is_removed(spec, tmp_path):
    (tmp_path / ".job-0.mp4").write_text("half")
    (tmp_path / ".other-0.mp4").write_text("half")
    remove_unfinished(spec, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".other-0.mp4"]


def test_previews_are_small_and_move():
    picture = encode_webp(square(16, 16).frames)
    assert picture[8:12] == b"WEBP" and b"ANIM" in picture and len(picture) < 4000
