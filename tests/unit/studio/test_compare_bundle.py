"""A comparison saved as a zip and brought back; zips that lie, climb out of their folder, or burst."""

from __future__ import annotations

import hashlib
import json
import zipfile

import av
import pytest

from studio import provenance
from studio.compare import bundle
from studio.compare.bundle import BundleError
from studio.ui import offline
from tests.unit.studio.test_compare_record import ME, OTHER, Desk


@pytest.fixture
def desk(settings, preset):
    made = Desk(settings, preset)
    yield made
    made.close()


@pytest.fixture
def saved(desk, tmp_path):
    """(bundle, comparison) of two finished cells and one that cannot be made."""
    comparison = desk.made.start(desk.plan("8, 12, 9", "num_frames"), ME)
    states = desk.wait(comparison)
    page = offline.page(comparison, states, {desk.preset.key: desk.preset})
    return bundle.write(comparison, states, page, tmp_path / "saved.zip", {"flicker": 1}), comparison


def brought_back(desk, path, owner=OTHER):
    presets = {desk.preset.key: desk.preset}
    return bundle.restore(path, owner, desk.folder, desk.made, desk.history, presets)


def restored(desk, path, owner=OTHER):
    return brought_back(desk, path, owner).comparison


def rewritten(source, target, change, sums=True):
    """A copy of the zip with other content: `change` edits name -> bytes, then checksums are made to fit."""
    with zipfile.ZipFile(source) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    change(content)
    if sums:
        lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in content.items())
        content[bundle.SUMS] = "".join(lines).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return target


def test_a_bundle_brought_back_is_the_comparison_again(desk, saved):
    path, comparison = saved
    again = restored(desk, path)
    before = desk.made.states(comparison, ME)
    after = desk.made.states(again, OTHER)
    assert (again.title, again.rows, again.columns) == (comparison.title, comparison.rows, comparison.columns)
    assert [state.state for state in after] == ["finished", "finished", "impossible"]
    assert [s.member.request for s in after[:2]] == [s.member.request for s in before[:2]]
    assert [s.paths[0].read_bytes() for s in after[:2]] == [s.paths[0].read_bytes() for s in before[:2]]
    assert desk.made.get(again.id, OTHER) == again
    assert {entry.id for entry in desk.history.entries(OTHER)} == {
        member.job for member in again.members if member.job
    }
    retried = desk.made.retry(again, OTHER, 0)
    assert desk.wait(retried, OTHER)[0].state == "finished"


def test_it_holds_a_page_a_grid_video_numbers_and_checksums_of_everything(saved):
    path, _ = saved
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    lines = content.pop(bundle.SUMS).decode().splitlines()
    assert {line.split("  ")[1]: line.split("  ")[0] for line in lines} == {
        name: hashlib.sha256(data).hexdigest() for name, data in content.items()
    }
    assert json.loads(content["metrics.json"]) == {"flicker": 1}
    assert "torch" in json.loads(content["environment.json"])["versions"][0]
    page = content[bundle.PAGE].decode()
    assert "<quintet-player" in page
    assert not [word for word in ("http://", "https://", 'src="/', "gradio_api") if word in page]


def test_the_grid_video_is_as_long_as_the_longest_clip(saved, tmp_path):
    path, _ = saved
    with zipfile.ZipFile(path) as archive:
        archive.extract(bundle.GRID, tmp_path)
    with av.open(str(tmp_path / bundle.GRID)) as container:
        stream = container.streams.video[0]
        assert (stream.frames, stream.average_rate) == (12, 8)
        assert stream.width > 2 * 192


def test_pictures_are_inside_only_when_asked(desk, saved, tmp_path):
    path, comparison = saved
    assert not [name for name in zipfile.ZipFile(path).namelist() if name.startswith("inputs")]
    face = tmp_path / "me.png"
    face.write_bytes(b"a face")
    asked = bundle.write(
        comparison, desk.made.states(comparison, ME), "", tmp_path / "with.zip", pictures={"person": face}
    )
    assert zipfile.ZipFile(asked).read("inputs/person.png") == b"a face"
    assert brought_back(desk, path).pictures == {}
    assert brought_back(desk, asked).pictures == {"person.png": b"a face"}


def test_no_other_file_counts_as_a_picture(desk, saved, tmp_path):
    def smuggle(content):
        for name in ("inputs/../person.png", "inputs/other.png", "inputs/person.svg", "/inputs/person.png"):
            content[name] = b"not asked for"

    assert brought_back(desk, rewritten(saved[0], tmp_path / "more.zip", smuggle)).pictures == {}


def test_a_picture_that_was_changed_is_refused(desk, saved, tmp_path):
    path = rewritten(saved[0], tmp_path / "one.zip", lambda content: content.update({"inputs/subject.png": b"one"}))
    change = rewritten(path, tmp_path / "two.zip", lambda content: content.update({"inputs/subject.png": b"2"}), False)
    with pytest.raises(BundleError, match=r"inputs/subject\.png in this bundle is not what was saved"):
        restored(desk, change)


def test_a_path_of_this_machine_never_comes_in(desk, saved, tmp_path):
    def lie(content):
        head = json.loads(content[bundle.MANIFEST])
        head["members"][0]["request"] |= {"face": "/etc/passwd", "unknown": 1}
        content[bundle.MANIFEST] = json.dumps(head).encode()

    again = restored(desk, rewritten(saved[0], tmp_path / "lie.zip", lie))
    assert not {"face", "unknown"} & set(again.members[0].request)


def test_names_that_climb_out_write_nothing(desk, saved, tmp_path):
    def climb(content):
        head = json.loads(content[bundle.MANIFEST])
        clip = head["members"][0]["clips"][0]
        for name in ("../../evil.mp4", "/evil.mp4", "clips/../evil.mp4", "clips\\..\\evil.mp4"):
            content[name] = content[clip]
        head["members"][0]["clips"] = ["clips/../evil.mp4"]
        content[bundle.MANIFEST] = json.dumps(head).encode()

    before = set(desk.folder.rglob("*"))
    with pytest.raises(BundleError, match="lacks"):
        restored(desk, rewritten(saved[0], tmp_path / "climb.zip", climb))
    assert set(desk.folder.rglob("*")) == before
    assert not list(tmp_path.rglob("evil*"))


def change_clip(content):
    name = next(name for name in content if name.startswith("clips/"))
    content[name] = content[name][:-1] + bytes([content[name][-1] ^ 1])


def outside_the_grid(content):
    head = json.loads(content[bundle.MANIFEST])
    head["members"][0]["row"] = 7
    content[bundle.MANIFEST] = json.dumps(head).encode()


def half_a_character(content):
    head = json.loads(content[bundle.MANIFEST])
    head["members"][0]["label"] = "\ud800"
    content[bundle.MANIFEST] = json.dumps(head).encode()


def a_clip_of_a_long_name(content):
    head = json.loads(content[bundle.MANIFEST])
    head["members"][0]["clips"] = ["a" * 1000]
    content[bundle.MANIFEST] = json.dumps(head).encode()


@pytest.mark.parametrize(
    ("change", "sums", "told"),
    [
        (change_clip, False, "not what was saved"),
        (outside_the_grid, True, "damaged"),
        (half_a_character, True, "damaged"),
        (a_clip_of_a_long_name, True, "lacks a{80}[.]"),
        (lambda content: content.pop(bundle.MANIFEST), True, "no comparison"),
        (lambda content: content.update({bundle.MANIFEST: b"[1]"}), True, "no comparison"),
        (lambda content: content.update({bundle.MANIFEST: b'{"studio": "quintet", "members": []}'}), True, "format"),
        (lambda content: content.update({bundle.MANIFEST: b'{"studio'}), True, "damaged"),
        (lambda content: content.update({f"clips/{n}.mp4": b"" for n in range(300)}), True, "files"),
        (lambda content: content.update({bundle.MANIFEST: b" " * (5 << 20)}), True, "larger"),
    ],
)
def test_what_is_no_bundle_is_refused_in_words(desk, saved, tmp_path, change, sums, told):
    with pytest.raises(BundleError, match=told):
        restored(desk, rewritten(saved[0], tmp_path / "bad.zip", change, sums))
    assert desk.made.newest(OTHER) == []


def test_a_zip_that_bursts_is_refused_before_it_is_unpacked(desk, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "MOST_BYTES", 1 << 20)
    path = tmp_path / "burst.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("clips/0.mp4", bytes(2 << 20))
    with pytest.raises(BundleError, match="unpacks to more"):
        restored(desk, path)


def test_what_is_no_zip_is_refused(desk, tmp_path):
    path = tmp_path / "no.zip"
    path.write_bytes(b"not a zip")
    with pytest.raises(BundleError, match="not a zip"):
        restored(desk, path)


def test_nothing_finished_is_nothing_to_save(desk, tmp_path):
    comparison = desk.made.start(desk.plan(), ME)
    desk.made.stop(comparison, ME)
    states = [state for state in desk.wait(comparison) if state.state != "finished"]
    with pytest.raises(BundleError, match="no finished video"):
        bundle.write(comparison, states, "", tmp_path / "none.zip")


def test_the_grid_video_is_marked_as_generated(saved, tmp_path):
    with zipfile.ZipFile(saved[0]) as archive:
        archive.extract(bundle.GRID, tmp_path)
    assert provenance.inspect(tmp_path / bundle.GRID, tmp_path).generated
