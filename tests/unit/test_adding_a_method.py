"""docs/adding_a_method.md is run as it is written: its files, its commands, its test."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from studio import cli
from studio.outputs import read_settings
from studio.presets import load_presets
from studio.ui.controls import Form

PAGE = Path(__file__).parents[2] / "docs" / "adding_a_method.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"# (own/\S+)\n")


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if found == language]


def commands() -> list[list[str]]:
    """The words of every `python -m studio ...` of the page's shell block."""
    (shell,) = blocks("sh")
    return [shlex.split(line)[3:] for line in shell.splitlines() if line.startswith("python -m studio ")]


def frames(video: Path) -> np.ndarray:
    with av.open(str(video)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """An empty folder with every file of the page."""
    folder = tmp_path_factory.mktemp("sixth")
    for text in [*blocks("python"), *blocks("yaml")]:
        name = NAME.match(text)
        assert name, f"a block without its file's name:\n{text[:80]}"
        path = folder / name[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def beside_the_studio(written, tmp_path, monkeypatch) -> Iterator[Path]:
    """That folder as the present one, with the page's variables."""
    (variables,) = [line for line in blocks("sh")[0].splitlines() if line.startswith("export ")]
    for name, _, value in (word.partition("=") for word in shlex.split(variables)[1:]):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("QUINTET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("QUINTET_CERTIFICATE_DIR", str(tmp_path / "certificate"))
    monkeypatch.chdir(written)
    monkeypatch.syspath_prepend(str(written))
    yield written
    for name in [name for name in sys.modules if name == "own" or name.startswith("own.")]:
        del sys.modules[name]


@pytest.mark.slow
def test_its_commands_make_a_clip_with_the_idea_and_another_without(beside_the_studio, capsys):
    for words in commands():
        assert cli.main(words) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "interval --preset pocket: Interval" in said and "on.mp4" in said
    videos = {name: beside_the_studio / f"{name}.mp4" for name in ("on", "off")}
    settings = {name: read_settings(path) for name, path in videos.items()}
    assert {name: made["request"]["interval"] for name, made in settings.items()} == {"on": True, "off": False}
    assert {made["method"] for made in settings.values()} == {"interval"}
    on, off = (frames(video).astype(int) for video in videos.values())
    assert on.shape == off.shape == (16, 64, 64, 3)
    assert np.abs(on - off).max() > 0
    assert not (beside_the_studio / "both.zip").exists()  # --dry-run


def test_its_tab_shows_the_fields_where_the_page_says(beside_the_studio):
    preset = load_presets(Path("own/presets"), ("models", "own"))["interval/pocket"]
    form = Form(preset.method, preset.request)
    assert form.prompt == "prompt"
    assert form.ideas == ["interval"]
    assert form.main == ["num_inference_steps", "guidance_scale"]
    assert form.advanced == ["begin", "end"]


def test_its_own_test_passes(beside_the_studio):
    its_own = importlib.import_module("own.test_interval")
    tests = [value for name, value in vars(its_own).items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()
