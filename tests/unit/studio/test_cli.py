from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from models.method import Clip, Recipe
from studio import cli, outputs
from studio.events import JobSpec
from studio.outputs import read_settings
from tests.fakes.sketch import SketchRequest
from tests.unit.studio.conftest import PRESETS
from tests.unit.studio.test_provenance import render


@pytest.fixture(autouse=True)
def fake_method(monkeypatch, tmp_path):
    monkeypatch.setenv("QUINTET_PRESET_DIR", str(PRESETS))
    monkeypatch.setenv("QUINTET_METHOD_PACKAGES", "models,tests.fakes")
    monkeypatch.setenv("QUINTET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("QUINTET_CERTIFICATE_DIR", str(tmp_path / "certificate"))


def test_generate_writes_the_named_file_and_names_it(tmp_path, capsys):
    output = tmp_path / "deep" / "out.mp4"
    words = ["generate", "sketch", "--preset", "pocket", "--set", "prompt=a: b", "num_frames=4", "--seed", "0"]
    assert cli.main([*words, "--output", str(output)]) == 0
    settings = read_settings(output)
    assert settings["request"]["prompt"] == "a: b" and settings["seed"] == 0 and settings["frames"] == 4
    said = capsys.readouterr()
    assert said.out.strip() == str(output) and "denoise 1/5" in said.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["sketch", "--set", "prompt="], "Prompt is empty"),
        (["sketch", "--set", "prompt=" + "a" * 10_000], "10,000 characters"),
        (["sketch", "--set", "num_frames=7"], "Try 8."),
        (["sketch", "--set", "num_frame=8"], "Did you mean 'num_frames'?"),
        (["sketch", "--set", "seed"], "key=value"),
        (["sketch", "--preset", "pocked"], "Did you mean 'pocket'?"),
        (["scetch"], "Did you mean 'sketch'?"),
        (["sketch", "--seed", "x"], "invalid int value"),
        (["sketch", "--device", "tpu"], "device"),
        (["sketch", "--colour", "red"], "'--colour' is not a flag"),
        (["sketch", "--output", "out.avi"], "must end in .mp4"),
        (["sketch", "--output", "/sys/quintet/out.mp4"], "cannot be written to the folder quintet"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(words, sentence, tmp_path, capsys):
    output = [] if "--output" in words else ["--output", str(tmp_path / "out.mp4")]
    assert cli.main(["generate", *words, *output]) == 2
    said = capsys.readouterr()
    assert sentence in said.err and said.err.count("\n") == 1 and said.out == ""
    assert not (tmp_path / "out.mp4").exists()


def test_no_command_is_bad_input_too(capsys):
    assert cli.main([]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_method_that_fails_is_exit_code_1_without_a_file(tmp_path, capsys):
    output = tmp_path / "out.mp4"
    assert cli.main(["generate", "sketch", "--set", "fault=error", "--output", str(output)]) == 1
    assert "RuntimeError" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_list_shows_presets_and_settings(capsys):
    assert cli.main(["list"]) == 0
    said = capsys.readouterr().out
    assert "sketch --preset pocket: Sketch" in said and "num_inference_steps=5" in said


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_interrupting_is_exit_code_130_and_leaves_no_file(tmp_path, executor):
    words = ["generate", "sketch", "--set", "num_inference_steps=1000", "seconds_per_step=0.05"]
    command = [sys.executable, "-m", "studio", *words, "--output", str(tmp_path / "out.mp4"), "--executor", executor]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "denoise 2/" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130 and "interrupted" in rest and "Traceback" not in rest
    assert [path.name for path in tmp_path.iterdir() if path.suffix in (".mp4", ".webp")] == []


def test_listing_starts_without_heavy_libraries():
    code = """
import sys
from studio import cli
cli.main(["list"])
heavy = {"torch", "diffusers", "transformers", "numpy", "av", "gradio"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_inspect_tells_the_marks_and_makes_a_clean_copy(tmp_path, capsys):
    video, clean = tmp_path / "v.mp4", tmp_path / "clean.mp4"
    spec = JobSpec("job", "p", "sketch", SketchRequest(), Recipe("sketch", "", ()), video)
    outputs.save([Clip(render(1, frames=4), 8)], spec, tmp_path, None, tmp_path / "certificate")
    flags = ["--certificate-dir", str(tmp_path / "certificate")]
    assert cli.main(["inspect", str(video), "--clean-copy", str(clean), *flags]) == 0
    said = capsys.readouterr().out
    assert "This was generated" in said and "signed by this installation" in said and "seed" in said
    assert cli.main(["inspect", str(clean), *flags]) == 0
    assert "Settings: None, or removed." in capsys.readouterr().out
    assert cli.main(["inspect", str(tmp_path / "gone.mp4"), *flags]) == 2
    assert "no file" in capsys.readouterr().err
