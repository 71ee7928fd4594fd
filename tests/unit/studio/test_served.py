"""The folder from which browsers load copies: private, swept by age and size."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from studio.ui.served import FOLDER, served_folder, sweep


@pytest.fixture(autouse=True)
def nothing_named_outside(monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)


def put(folder: Path, name: str, size: int = 10) -> Path:
    path = folder / name / "clip.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * size)
    return path


def test_only_this_user_reads_it_and_it_goes_with_the_studio(tmp_path):
    with served_folder(tmp_path) as served:
        assert os.environ[FOLDER] == str(served.path) and served.path.is_relative_to(tmp_path)
        assert stat.S_IMODE(served.path.stat().st_mode) == 0o700
        put(served.path, "hash")
    assert FOLDER not in os.environ and not served.path.exists()


def test_what_a_killed_studio_left_is_gone_at_the_next_start(tmp_path):
    left = put(tmp_path / "served", "face")
    with served_folder(tmp_path) as served:
        assert not left.exists() and list(served.path.iterdir()) == []


def test_a_folder_named_outside_is_neither_emptied_nor_removed(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path / "mine"))
    kept = put(tmp_path / "mine", "hash")
    with served_folder(tmp_path) as served:
        assert served.path == tmp_path / "mine"
    assert kept.exists()


def test_old_copies_go_with_their_folders_and_what_the_page_needs_stays(tmp_path):
    old, page = put(tmp_path, "old"), put(tmp_path, "page")
    assert sweep(tmp_path, age_seconds=60, kept={page}, now=time.time() + 61) == 1
    assert not old.parent.exists() and page.exists()


def test_young_copies_stay_until_they_are_too_many(tmp_path):
    copies = [put(tmp_path, name) for name in "abc"]
    assert sweep(tmp_path, age_seconds=60) == 0
    assert sweep(tmp_path, age_seconds=60, most_bytes=25) == 1
    assert sum(copy.exists() for copy in copies) == 2


def test_a_link_is_removed_and_not_followed(tmp_path):
    outside = put(tmp_path / "outside", "kept")
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "link").symlink_to(outside)
    sweep(tmp_path / "served", age_seconds=0, now=time.time() + 10)
    assert outside.exists() and not (tmp_path / "served" / "link").is_symlink()
