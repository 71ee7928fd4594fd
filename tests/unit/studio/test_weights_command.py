"""`python -m studio weights` as a person runs it: killed, interrupted, twice at once, on a full disk."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from studio import cli
from studio.commands import BAD_INPUT, FAILED
from studio.weights import hub_cache
from studio.weights.transfer import CHUNK_BYTES
from tests.unit.studio.weights_shop import BIG, NETWORK, Shop, network_files

HALF = BIG // 2
ROOT = Path(__file__).parents[3]
PRESET = """
method: parcel
title: Parcel
weights: {network: "hub:quintet/parcel:unet", words: "hub:quintet/parcel:tokenizer"}
"""


@pytest.fixture
def environment(shop: Shop) -> dict[str, str]:
    """What a process needs to meet the loopback hub instead of the real one."""
    folder = shop.folder / "presets" / "parcel"
    folder.mkdir(parents=True)
    (folder / "full.yaml").write_text(PRESET)
    return {
        **os.environ,
        "HF_HUB_OFFLINE": "0",
        "HF_ENDPOINT": shop.hub.address,
        "HF_HUB_CACHE": str(shop.folder / "hub"),
        "QUINTET_CACHE_DIR": str(shop.folder / "cache"),
        "QUINTET_PRESET_DIR": str(shop.folder / "presets"),
        "QUINTET_METHOD_PACKAGES": "models,tests.fakes",
    }


@pytest.fixture
def start(environment: dict[str, str]):
    """start("get", "parcel/full"): the command, running."""
    begun = []

    def begin(*words: str, **options) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "studio", "weights", *words]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, **options,
        )  # fmt: skip
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def run(monkeypatch, environment: dict[str, str], *words: str) -> int:
    """The command in this process."""
    for name, value in environment.items():
        if name.startswith("QUINTET_"):
            monkeypatch.setenv(name, value)
    return cli.main(["weights", *words])


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Until it is so, or the process has ended."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def partials(shop: Shop) -> list[Path]:
    return list(shop.folder.glob(f"hub/*/blobs/*{hub_cache.PARTIAL_SUFFIX}"))


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_download_that_is_ended_halfway_fetches_only_the_rest_the_next_time(shop: Shop, start, end):
    shop.hub.hold_after[NETWORK] = HALF
    process = start("get", "parcel/full", "--accept-licence")
    wait_for(lambda: any(partial.stat().st_size >= CHUNK_BYTES for partial in partials(shop)), process)
    process.send_signal(end)
    _, errors = process.communicate(timeout=60)
    shop.hub.release.set()
    if end == signal.SIGINT:
        assert process.returncode == 130 and "the same command continues" in errors
    (partial,) = [path for path in partials(shop) if path.stat().st_size]
    arrived = partial.stat().st_size
    assert 0 < arrived < BIG
    again = start("get", "parcel/full", "--accept-licence")
    assert again.wait(60) == 0
    first, second = shop.hub.sent(NETWORK)
    assert (first.start, second.start) == (0, arrived)
    assert second.sent == len(network_files()[NETWORK]) - arrived
    assert not partials(shop) and shop.library.verify(shop.preset()).damaged == ()


@pytest.mark.slow
def test_two_processes_fetch_a_file_once(shop: Shop, start):
    shop.hub.hold_after[NETWORK] = HALF
    one = start("get", "parcel/full", "--accept-licence")
    wait_for(shop.hub.held.is_set, one)
    other = start("get", "parcel/full", "--accept-licence")
    wait_for(lambda: shop.hub.answers[-1].path.startswith("/api"), other)  # the second has asked for the list
    shop.hub.release.set()
    assert one.wait(60) == 0 and other.wait(60) == 0
    assert len(shop.hub.sent(NETWORK)) == 1
    assert shop.library.verify(shop.preset()).damaged == ()


def test_a_full_disk_ends_with_a_sentence_and_keeps_what_arrived(shop: Shop, start):
    def small_files() -> None:  # the system refuses to let a file grow beyond this
        resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, HALF))

    process = start("get", "parcel/full", "--accept-licence", preexec_fn=small_files)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == BAD_INPUT and "The disk is full" in errors and "Traceback" not in errors
    (partial,) = partials(shop)
    assert 0 < partial.stat().st_size <= HALF


def test_nothing_is_fetched_without_a_yes(shop: Shop, environment, monkeypatch, capsys):
    assert run(monkeypatch, environment, "get", "parcel/full") == BAD_INPUT
    said = capsys.readouterr()
    assert "the terms were not accepted" in said.err
    assert "3.1 MB" in said.out and "CC BY-NC 4.0" in said.out and "not for commercial use" in said.out
    assert not shop.hub.sent("safetensors")


def test_the_four_commands_tell_one_story(shop: Shop, environment, monkeypatch, capsys):
    assert run(monkeypatch, environment, "list") == 0
    assert "parcel/full: 3.0 MB to fetch" in capsys.readouterr().out  # as declared; the hub is not asked
    assert not shop.hub.answers
    assert run(monkeypatch, environment, "get", "parcel", "--accept-licence") == 0
    said = capsys.readouterr()
    assert said.out.rstrip().endswith("parcel/full: ready") and "100%" in said.err
    assert run(monkeypatch, environment, "verify", "parcel/full") == 0
    assert "3 files compared, 0 damaged" in capsys.readouterr().out
    assert run(monkeypatch, environment, "free", "parcel/full") == 0
    assert "3.1 MB freed" in capsys.readouterr().out
    assert run(monkeypatch, environment, "list") == 0
    assert "missing" in capsys.readouterr().out


def test_a_damaged_file_is_named_and_can_be_removed(shop: Shop, environment, monkeypatch, capsys):
    shop.get(shop.preset())
    blob = next(path for path in shop.folder.glob("hub/*/blobs/*") if path.stat().st_size > BIG)
    blob.write_bytes(blob.read_bytes()[:-1] + b"\0")
    assert run(monkeypatch, environment, "verify", "parcel/full") == FAILED
    assert NETWORK in capsys.readouterr().out
    assert run(monkeypatch, environment, "verify", "parcel/full", "--remove-damaged") == FAILED
    assert run(monkeypatch, environment, "get", "parcel/full", "--accept-licence") == 0
    assert run(monkeypatch, environment, "verify", "parcel/full") == 0


def test_an_unknown_preset_is_answered_with_the_nearest(shop: Shop, environment, monkeypatch, capsys):
    assert run(monkeypatch, environment, "get", "parcel/fulll") == BAD_INPUT
    assert "Did you mean 'parcel/full'?" in capsys.readouterr().err
