"""batch, compare and bench as typed in a terminal, over the fake method."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import yaml

from studio import cli
from studio.compare import bundle
from studio.outputs import read_settings
from tests.unit.studio.conftest import PRESETS

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def fake_method(monkeypatch, tmp_path):
    monkeypatch.setenv("QUINTET_PRESET_DIR", str(PRESETS))
    monkeypatch.setenv("QUINTET_METHOD_PACKAGES", "models,tests.fakes")
    monkeypatch.setenv("QUINTET_OUTPUT_DIR", str(tmp_path / "outputs"))
    monkeypatch.setenv("QUINTET_CERTIFICATE_DIR", str(tmp_path / "certificate"))


@pytest.fixture
def listed(tmp_path):
    """listed([{...}, ...]) writes a list and gives its path; its videos go to the folder `list` beside it."""

    def write(entries):
        file = tmp_path / "list.yaml"
        file.write_text(yaml.safe_dump(entries), encoding="utf-8")
        return file

    return write


def sketch(output=None, **request):
    return {"method": "sketch", "request": request} | ({"output": output} if output else {})


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.mp4"))


def test_a_batch_makes_every_video_with_its_own_settings(listed, tmp_path, capsys):
    file = listed([sketch("a.mp4", seed=1), sketch("deep/b.mp4", seed=2, num_frames=4), sketch(seed=3)])
    assert cli.main(["batch", str(file)]) == 0
    made = tmp_path / "list"
    assert names(made) == ["003-sketch-pocket.mp4", "a.mp4", "deep/b.mp4"]
    assert read_settings(made / "deep/b.mp4")["frames"] == 4 and read_settings(made / "a.mp4")["seed"] == 1
    assert str(made / "a.mp4") in capsys.readouterr().out.splitlines()


def test_the_same_command_makes_only_what_is_missing(listed, tmp_path, capsys):
    file = listed([sketch("a.mp4"), sketch("b.mp4", views=2), sketch("c.mp4", fault="error")])
    assert cli.main(["batch", str(file)]) == 1
    made = tmp_path / "list"
    assert names(made) == ["a.mp4", "b-view 1.mp4", "b-view 2.mp4"]
    before = {path: path.stat().st_mtime_ns for path in made.iterdir()}
    file = listed([sketch("a.mp4"), sketch("b.mp4", views=2), sketch("c.mp4")])
    capsys.readouterr()
    assert cli.main(["batch", str(file)]) == 0
    assert "2 there already, 1 to make" in capsys.readouterr().err
    assert (made / "c.mp4").is_file() and all(path.stat().st_mtime_ns == when for path, when in before.items())


def test_a_dry_run_tells_every_video_and_makes_nothing(listed, tmp_path, capsys):
    file = listed([sketch("a.mp4", prompt="a blue square"), sketch("b.mp4", seed=9)])
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["batch", str(file), "--dry-run"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2 and "prompt=a blue square" in said[0] and "seed=42" in said[0] and "seed=9" in said[1]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (sketch(num_frames=7), "Try 8."),
        (sketch(num_frame=8), "Did you mean 'num_frames'?"),
        ({"method": "scetch"}, "Did you mean 'sketch'?"),
        ({"method": "sketch", "preset": "full"}, "has no preset 'full'"),
        ({"method": "sketch", "sead": 1}, "unknown key 'sead'"),
        ("sketch", "must hold `key: value` lines, got a str"),
        ({"method": "sketch", "request": [1]}, "request must hold"),
        (sketch("../a.mp4"), "must lie in the folder of the batch"),
        (sketch("/tmp/a.mp4"), "must lie in the folder of the batch"),
        (sketch("a.avi"), "name of an .mp4 file"),
        (sketch("first.mp4"), "first.mp4 is entry 1's already"),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--dry-run"]])
def test_one_bad_entry_is_named_and_nothing_is_made(listed, tmp_path, capsys, entry, sentence, flags):
    file = listed([sketch("first.mp4"), entry])
    assert cli.main(["batch", str(file), *flags]) == 2
    said = capsys.readouterr().err
    assert "entry 2" in said and sentence in said
    assert names(tmp_path) == []


@pytest.mark.parametrize("content", ["{}", "[]", "- [", "method: sketch"])
def test_a_file_that_is_no_list_is_answered_in_a_sentence(tmp_path, capsys, content):
    file = tmp_path / "list.yaml"
    file.write_text(content, encoding="utf-8")
    assert cli.main(["batch", str(file)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert cli.main(["batch", str(tmp_path / "gone.yaml")]) == 2


def test_a_comparison_is_saved_as_a_bundle_with_its_numbers(tmp_path, capsys):
    output = tmp_path / "both.zip"
    keys = ["sketch/pocket", "sketch/pocket:trail"]
    words = ["compare", "--prompt", "a square", "--methods", *keys, "--seeds", "3", "4", "--output", str(output)]
    assert cli.main(words) == 0
    with zipfile.ZipFile(output) as archive:
        manifest = json.loads(archive.read(bundle.MANIFEST))
        numbers = json.loads(archive.read("metrics.json"))
        page = archive.read(bundle.PAGE).decode()
    assert [member["variant"] for member in manifest["members"]] == [key for key in keys for _ in (3, 4)]
    assert [member["request"]["seed"] for member in manifest["members"]] == [3, 4, 3, 4]
    assert all(member["state"] == "finished" and member["clips"] for member in manifest["members"])
    assert {scores[0]["flicker"]["value"] is not None for scores in numbers.values()} == {True}
    assert "<h1>a square</h1>" in page and "Flicker<small>" in page and "Mean over seeds" in page
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == str(output) and "Flicker" in said
    assert not (tmp_path / "outputs").exists(), "the studio's own folder is left alone"


def test_a_dry_comparison_tells_each_cell_and_makes_nothing(tmp_path, capsys):
    output = tmp_path / "none.zip"
    words = ["compare", "--prompt", "a square", "--columns", "num_frames=8,7", "--output", str(output), "--dry-run"]
    assert cli.main(words) == 0
    said = capsys.readouterr().out.splitlines()
    assert "num_frames=8" in said[0] and "cannot be made" in said[1] and "Try 8." in said[1]
    assert list(tmp_path.iterdir()) == []


def test_only_a_dry_comparison_needs_no_place_to_write(capsys):
    assert cli.main(["compare", "--prompt", "a square", "--dry-run"]) == 0
    assert cli.main(["compare", "--prompt", "a square"]) == 2
    assert "There is no --output" in capsys.readouterr().err


def test_a_failed_cell_is_told_and_the_others_are_saved(tmp_path, capsys):
    output = tmp_path / "some.zip"
    words = ["compare", "--prompt", "a square", "--columns", "fault=none,error", "--no-metrics", "--output"]
    assert cli.main([*words, str(output)]) == 1
    assert "RuntimeError" in capsys.readouterr().err
    with zipfile.ZipFile(output) as archive:
        states = [member["state"] for member in json.loads(archive.read(bundle.MANIFEST))["members"]]
    assert states == ["finished", "failed"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--methods", "scetch/pocket"], "Did you mean 'sketch/pocket'?"),
        (["--columns", "seed"], "FIELD=VALUES"),
        (["--columns", "colour=red"], "None of the chosen methods has a field 'colour'"),
        (["--prompt", " "], "The prompt is empty"),
        (["--output", "out.mp4"], "must end in .zip"),
    ],
)
def test_a_comparison_that_cannot_be_is_one_sentence(words, sentence, tmp_path, capsys):
    basic = ["compare", "--prompt", "a square", "--output", str(tmp_path / "out.zip")]
    assert cli.main([*basic, *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and not (tmp_path / "out.zip").exists()


def test_bench_measures_the_presets_and_ends_with_json(tmp_path, capsys):
    assert cli.main(["bench", "sketch/pocket", "--runs", "2"]) == 0
    *table, last = capsys.readouterr().out.splitlines()
    timing = json.loads(last)["timings"][0]
    assert len(table) == 2 and table[1].startswith("sketch/pocket")
    assert timing["steps"] == 5 and timing["first_seconds"] > 0 < timing["next_seconds"]
    assert 0 < timing["step_seconds"] < timing["first_seconds"]
    assert list(tmp_path.glob("**/*.mp4")) == []


def test_bench_names_a_preset_it_does_not_know(capsys):
    assert cli.main(["bench", "sketch/pocked"]) == 2
    assert "Did you mean 'sketch/pocket'?" in capsys.readouterr().err
    assert cli.main(["bench", "--runs", "0"]) == 2


def test_the_list_in_the_documentation_can_be_made(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("QUINTET_PRESET_DIR")
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    file = tmp_path / "list.yaml"
    file.write_text(text.partition("```yaml\n")[2].partition("```")[0], encoding="utf-8")
    assert cli.main(["batch", str(file), "--dry-run"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert str(tmp_path / "list" / "cube.mp4") in said[0] and "feature_cache=False" in said[1]
