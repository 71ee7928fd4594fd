from __future__ import annotations

from pathlib import Path

import pytest

from studio.settings import load_settings


def test_flags_beat_environment_beats_file_beats_defaults(tmp_path):
    file = tmp_path / "studio.yaml"
    file.write_text("port: 1\nhost: file\ndevice: cpu\n")
    environ = {"QUINTET_PORT": "2", "QUINTET_HOST": "environment", "PORT": "9"}
    settings = load_settings(["--port", "3"], file, environ)
    assert (settings.port, settings.host, settings.device, settings.max_queue) == (3, "environment", "cpu", 20)


@pytest.mark.parametrize(
    ("argv", "yaml", "environ", "words"),
    [
        ([], "prot: 1", {}, [r"studio.yaml: 'prot' is not a setting. Did you mean 'port'?"]),
        ([], "port: many", {}, ["studio.yaml", "port", "'many'"]),
        ([], "device: tpu", {}, ["studio.yaml", "device"]),
        ([], "- port", {}, ["studio.yaml", "key: value"]),
        ([], "a: [", {}, ["studio.yaml", "not valid YAML"]),
        ([], "", {"QUINTET_MAX_QUEUE": "-1"}, ["environment", "max_queue must be at least 0"]),
        (["--port", "70000"], "", {}, ["flags", "between 0 and 65535, got 70000"]),
        (["--prot", "1"], "", {}, ["'--prot' is not a flag. Did you mean '--port'?"]),
        (["--port"], "", {}, ["--port", "expected one argument"]),
    ],
)
def test_a_mistake_is_blamed_on_the_place_it_is_in(tmp_path, argv, yaml, environ, words):
    file = tmp_path / "studio.yaml"
    if yaml:
        file.write_text(yaml)
    with pytest.raises(ValueError) as caught:
        load_settings(argv, file, environ)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


def test_lists_and_home_folders_are_read_from_words(tmp_path):
    settings = load_settings(["--output-dir", "~/videos"], tmp_path / "no", {"QUINTET_METHOD_PACKAGES": "a, b"})
    assert settings.output_dir == Path.home() / "videos"
    assert settings.method_packages == ("a", "b")
