"""The recorded atlas: made once, continued, the same for the same seed, and a page that shows it."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil

import numpy as np
import pytest
import yaml

from models.method import REPOSITORY
from studio import cli
from studio.compare import Costs, variants
from studio.compare.atlas import ATLAS, read, read_wanted
from studio.compare.atlas.make import digest_of, missing
from studio.compare.atlas.record import INDEX
from studio.history import History
from studio.metrics import METRICS
from studio.outputs import read_settings
from studio.presets import load_presets
from studio.provenance import xmp
from studio.provenance.watermark import detect
from studio.ui import atlas_page
from studio.video_files import read_frames
from tests.unit.studio.conftest import PRESETS

BOTH = ["sketch/pocket", "sketch/pocket:trail"]
MOST_BYTES = 1_200_000  # of docs/atlas and its page together
PAGE = REPOSITORY / "docs" / "index.html"
STALE = "make it anew: make atlas ARGS=--page"


def listed(folder, prompt="a red square", seeds=(1, 2), **more):
    file = folder / "atlas.yaml"
    part = {"methods": BOTH, "briefs": [{"prompt": prompt, **more}]}
    file.write_text(yaml.safe_dump({"seeds": list(seeds), "comparisons": {"sketch": part}}), encoding="utf-8")
    return file


def make(folder, file, *more):
    return cli.main(["atlas", "--list", str(file), "--folder", str(folder / "docs" / "atlas"), *more])


def content(page):
    """What the page shows, as JSON."""
    packed = page.read_text(encoding="utf-8").partition('id="atlas">')[2].partition("</script>")[0]
    return gzip.decompress(base64.b64decode(packed)).decode()


@pytest.fixture(autouse=True)
def fake_method(monkeypatch, tmp_path):
    monkeypatch.setenv("QUINTET_PRESET_DIR", str(PRESETS))
    monkeypatch.setenv("QUINTET_METHOD_PACKAGES", "models,tests.fakes")
    monkeypatch.setenv("QUINTET_CERTIFICATE_DIR", str(tmp_path / "certificate"))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """An atlas of two recordings, made once."""
    folder = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUINTET_PRESET_DIR", str(PRESETS))
        patch.setenv("QUINTET_METHOD_PACKAGES", "models,tests.fakes")
        assert make(folder, listed(folder)) == 0
    return folder


@pytest.fixture
def made(first, tmp_path):
    """A copy that a test may change."""
    shutil.copytree(first, tmp_path, dirs_exist_ok=True)
    return tmp_path


def clips(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "docs" / "atlas").glob("*.mp4")}


def test_each_recording_has_its_pair_with_settings_marks_and_scores(first):
    recordings = read(first / "docs" / "atlas")
    assert [recording.id for recording in recordings] == ["sketch-1-seed1", "sketch-1-seed2"]
    for recording, seed in zip(recordings, (1, 2), strict=True):
        assert recording.keys == BOTH and recording.brief.seeds == (seed,)
        assert "core" in recording.machine and re.fullmatch(r"\d{4}-\d\d-\d\d", recording.recorded)
        assert [state.member.request["trail"] for state in recording.states] == [True, False]
        for state, scores in zip(recording.states, recording.scores, strict=True):
            (path,) = state.paths
            assert read_settings(path)["request"] == state.member.request | {"seed": seed}
            assert xmp.source_type(path) == xmp.TRAINED
            assert detect(np.stack(read_frames(path)[0])).found
            assert scores[0].keys() == METRICS.keys()
            assert scores[0]["seconds"].value == pytest.approx(state.seconds, abs=1e-3, rel=1e-3)
            assert len(scores[0]["flicker"].curve) == 8 and scores[0]["identity"].reason


def test_the_page_names_every_recording_and_asks_no_address(first):
    page = first / "docs" / "index.html"
    seeds = json.loads(content(page))["methods"]["sketch/pocket"]["briefs"]["a red square"]["seeds"]
    assert [seeds[seed]["id"] for seed in "12"] == ["sketch-1-seed1", "sketch-1-seed2"]
    for clip in seeds["1"]["player"]["clips"]:
        assert (first / "docs" / clip["address"]).is_file()
    assert not re.search(r"""(src|href)=["']?(https?:)?//|url\(|@import""", page.read_text(encoding="utf-8"))


def test_the_same_command_makes_only_what_is_missing(made, capsys):
    before = clips(made)
    assert make(made, listed(made)) == 0
    assert "2 there already, 0 to make" in capsys.readouterr().err
    (made / "docs" / "atlas" / "sketch-1-seed2-on.mp4").unlink()
    assert make(made, listed(made)) == 0
    after = clips(made)
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {
        "sketch-1-seed2-on.mp4", "sketch-1-seed2-trail_off.mp4"
    }  # fmt: skip


def test_another_wish_or_again_is_made_anew_and_the_same_seed_gives_the_same_frames(made, capsys):
    again = made / "docs" / "atlas" / "sketch-1-seed1-on.mp4"
    frames, changed = np.stack(read_frames(again)[0]), again.stat().st_mtime_ns
    assert make(made, listed(made), "--again", "sketch-1-seed1") == 0
    assert "1 there already, 1 to make" in capsys.readouterr().err
    assert again.stat().st_mtime_ns != changed
    assert np.array_equal(np.stack(read_frames(again)[0]), frames)
    assert make(made, listed(made, prompt="another square"), "--only", "sketch-1-seed1") == 0
    recordings = read(made / "docs" / "atlas")
    assert [recording.brief.prompt for recording in recordings] == ["another square", "a red square"]


def test_what_cannot_be_is_said_before_anything_is_made(tmp_path, capsys):
    for more, words in (
        ({"promt": "x"}, "briefs[0]: unknown key 'promt'. Did you mean 'prompt'?"),
        ({"person": "nobody.png"}, "briefs[0]: person: there is no file"),
    ):
        assert make(tmp_path, listed(tmp_path, **more)) == 2
        assert words in capsys.readouterr().err
    assert clips(tmp_path) == {}


def test_a_damaged_index_is_named(made, capsys):
    (made / "docs" / "atlas" / INDEX).write_text('{"format": 1, "recordings": [{}]}', encoding="utf-8")
    assert make(made, listed(made)) == 2
    assert "is no index of recorded comparisons" in capsys.readouterr().err


def test_recordings_of_other_weights_are_made_anew(monkeypatch, tmp_path):
    recording = read(ATLAS)[0]
    parts = [part for state in recording.states for part in read_settings(state.paths[0])["weights"].values()]
    known = {part["source"]: part["sha256"] for part in parts}
    vae = "models/pocket/weights/cogvideox/vae"
    assert digest_of(vae) == known[vae] and digest_of("models/pocket/weights/none") == ""
    wanted = [each for each in read_wanted() if each.id == recording.id]
    history = History(tmp_path / "history.sqlite")
    asked = (wanted, [recording], variants(load_presets(REPOSITORY / "presets").values()), Costs(history))
    monkeypatch.setattr("studio.compare.atlas.make.digest_of", lambda source: known[source])
    assert missing(*asked) == []
    monkeypatch.setattr("studio.compare.atlas.make.digest_of", lambda source: known[source] + "1" * (source == vae))
    assert missing(*asked) == wanted
    history.close()


def test_without_a_folder_there_is_no_atlas(tmp_path):
    assert read(tmp_path / "none") == []


def test_the_atlas_of_this_repository_holds_what_is_wanted_within_its_size():
    recordings = read(ATLAS)
    assert [recording.id for recording in recordings] == [wanted.id for wanted in read_wanted()]
    named = {path for recording in recordings for state in recording.states for path in state.paths}
    assert set(ATLAS.glob("*.mp4")) == named
    assert sum(path.stat().st_size for path in [*ATLAS.iterdir(), PAGE]) <= MOST_BYTES
    assert all(xmp.source_type(path) == xmp.TRAINED for path in named)
    assert content(PAGE).count('"id": ') == len(recordings)


def test_the_page_of_this_repository_is_what_its_sources_make(tmp_path):
    made = tmp_path / "index.html"
    made.write_text(atlas_page.page(read(ATLAS), load_presets(REPOSITORY / "presets"), ATLAS.name), encoding="utf-8")
    kept, made = ({"page": page.read_text(encoding="utf-8"), "content": content(page)} for page in (PAGE, made))
    packed = re.compile(r'(?<=id="atlas">)[^<]*')
    assert packed.sub("", kept["page"]) == packed.sub("", made["page"]), STALE
    pictures = re.compile(r"data:image/webp;base64,[^\"]*")  # their bytes depend on the encoder's release
    assert pictures.sub("", kept["content"]) == pictures.sub("", made["content"]), (
        "make it anew: make atlas ARGS=--page"
    )
