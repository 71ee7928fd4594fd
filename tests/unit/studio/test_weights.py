"""Downloads from a loopback hub, in this process: what is chosen, continued, checked, refused, verified, freed."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.method import Conversion, Published
from studio.registry.files import WeightsError, find_folder, find_weights
from studio.weights import hub_cache, transfer
from studio.weights.fetching import survey
from studio.weights.hub_cache import HubSource
from studio.weights.library import Library
from studio.weights.transfer import DownloadStopped
from tests.unit.studio.weights_shop import BIG, COMMIT, NETWORK, Shop, network_files

HALF = BIG // 2


def blob(content: bytes) -> Path:
    folder = hub_cache.repository_folder("quintet/parcel")
    return folder / "blobs" / hashlib.sha256(content).hexdigest()


def partial() -> Path:
    return hub_cache.partial_of(hub_cache.repository_folder("quintet/parcel"), blob(network_files()[NETWORK]).name)


def test_a_preset_gets_what_it_names_and_the_registry_finds_it(shop: Shop):
    preset = shop.preset()
    before = shop.library.status(preset)
    assert not before.ready and before.bytes_to_fetch == 3_000_000  # as declared, before the hub is asked
    shop.get(preset)
    assert shop.library.status(preset).ready
    assert {answer.path.partition("/main/")[0].rpartition(f"/{COMMIT}/")[2] for answer in shop.hub.sent("")} >= {
        NETWORK,
        "unet/config.json",
        "tokenizer/vocab.json",
    }
    for unwanted in (".fp16.safetensors", ".bin", ".h5", "LICENSE"):
        assert not shop.hub.sent(unwanted)
    (file,) = find_weights(find_folder("hub:quintet/parcel:unet"))
    assert file.entries["weight"].shape == (BIG,)
    assert [(p.done, p.total) for p in shop.said][-1] == (shop.said[-1].total, shop.said[-1].total)
    assert [p.done for p in shop.said] == sorted(p.done for p in shop.said)


def test_what_is_here_is_not_asked_for_again(shop: Shop):
    preset = shop.preset(network=f"hub:quintet/parcel@{COMMIT}:unet")
    shop.get(preset)
    shop.hub.answers.clear()
    shop.get(preset)
    assert not shop.hub.answers


def test_the_hubs_own_library_finds_the_files_too(shop: Shop):
    from huggingface_hub import hf_hub_download, scan_cache_dir

    shop.get(shop.preset())
    found = hf_hub_download("quintet/parcel", NETWORK, cache_dir=hub_cache.cache_folder(), local_files_only=True)
    assert Path(found).read_bytes() == network_files()[NETWORK]
    report = scan_cache_dir(hub_cache.cache_folder())
    assert not report.warnings and {repo.repo_id for repo in report.repos} == {"quintet/parcel"}


def test_files_that_another_tool_fetched_count(shop: Shop):
    root = hub_cache.repository_folder("quintet/parcel")
    for path, content in network_files().items():
        (root / "snapshots" / COMMIT / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "snapshots" / COMMIT / path).write_bytes(content)
    hub_cache.write_ref(root, "main", COMMIT)
    assert shop.library.status(shop.preset()).ready


def test_stopping_keeps_what_has_arrived_and_the_next_run_fetches_the_rest(shop: Shop):
    preset = shop.preset()
    with pytest.raises(DownloadStopped):
        shop.get(preset, stop=lambda: any(p.what.endswith(NETWORK) and p.done >= HALF for p in shop.said))
    arrived = partial().stat().st_size
    assert HALF <= arrived < BIG
    assert shop.library.status(preset).bytes_to_fetch < BIG - arrived + 1000
    shop.hub.answers.clear()
    shop.get(preset)
    (rest,) = shop.hub.sent(NETWORK)
    assert rest.start == arrived and rest.sent == len(network_files()[NETWORK]) - arrived
    assert not partial().exists() and blob(network_files()[NETWORK]).read_bytes() == network_files()[NETWORK]


def test_a_connection_that_breaks_is_taken_up_where_it_broke(shop: Shop):
    shop.hub.cut_after[NETWORK] = HALF
    shop.get(shop.preset())
    first, second = shop.hub.sent(NETWORK)
    assert first.start == 0 and first.sent < BIG
    assert 0 < second.start <= first.sent
    assert shop.library.verify(shop.preset()).damaged == ()


def test_a_server_without_ranges_begins_anew_and_the_file_is_still_right(shop: Shop):
    shop.hub.cut_after[NETWORK] = HALF
    shop.hub.no_ranges = True
    shop.get(shop.preset())
    assert [answer.start for answer in shop.hub.sent(NETWORK)] == [0, 0]
    assert shop.library.verify(shop.preset()).damaged == ()


def test_a_connection_that_brings_nothing_ends_with_a_sentence(shop: Shop, monkeypatch):
    monkeypatch.setattr(transfer, "_continue", lambda *arguments: False)
    monkeypatch.setattr(transfer.time, "sleep", lambda seconds: None)
    with pytest.raises(WeightsError, match=r"The connection broke while .* at 0 bytes.*continues where it stopped"):
        shop.get(shop.preset())


@pytest.mark.parametrize("name", [NETWORK, "unet/config.json"])  # one checked by sha256, one by git's sha1
def test_content_that_is_not_the_published_one_is_refused_and_removed(shop: Shop, name):
    shop.hub.damaged.add(name)
    with pytest.raises(WeightsError, match="does not have the published checksum, and was removed"):
        shop.get(shop.preset())
    assert not shop.library.status(shop.preset()).ready
    assert not list(hub_cache.repository_folder("quintet/parcel").glob(f"blobs/*{hub_cache.PARTIAL_SUFFIX}"))
    shop.hub.damaged.clear()
    shop.get(shop.preset())
    assert shop.library.status(shop.preset()).ready


def test_a_partial_file_of_something_else_is_not_passed_on(shop: Shop):
    partial().parent.mkdir(parents=True)
    partial().write_bytes(b"x" * HALF)
    with pytest.raises(WeightsError, match="removed"):
        shop.get(shop.preset())
    shop.get(shop.preset())
    assert shop.library.verify(shop.preset()).damaged == ()


def test_room_is_looked_for_before_the_first_byte(shop: Shop, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=1000))
    with pytest.raises(WeightsError, match=r"parcel/full needs 0.0 GB at .*, and 0.0 GB are free"):
        shop.get(shop.preset())
    assert not shop.hub.sent(NETWORK)


def test_a_disk_that_fills_up_keeps_what_has_arrived(shop: Shop, monkeypatch):
    real = transfer._continue

    def full(file, partial, on_bytes, stop):
        if file.name != NETWORK:
            return real(file, partial, on_bytes, stop)
        partial.write_bytes(network_files()[NETWORK][:HALF])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(transfer, "_continue", full)
    with pytest.raises(WeightsError, match=f"The disk is full: {NETWORK} has {HALF:,} of"):
        shop.get(shop.preset())
    assert partial().stat().st_size == HALF
    monkeypatch.setattr(transfer, "_continue", real)
    shop.get(shop.preset())
    assert shop.hub.sent(NETWORK)[-1].start == HALF


def test_offline_and_unreachable_are_answered_without_retries(shop: Shop, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waited"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="set to be offline"):
        shop.get(shop.preset())
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match="does not answer"):
        shop.get(shop.preset())


def test_a_dead_address_is_replaced_by_its_mirror(shop: Shop, monkeypatch):
    monkeypatch.setitem(hub_cache.MIRRORS, "quintet/parcel", ("elsewhere/parcel",))
    shop.hub.publish("elsewhere/parcel", network_files(), COMMIT)
    shop.hub.gone.add("quintet/parcel")
    shop.get(shop.preset())
    assert shop.library.status(shop.preset()).ready
    record = shop.library.records.read("hub:quintet/parcel@main")
    assert record is not None and record.listing.repository == "elsewhere/parcel"


@pytest.mark.parametrize(("fault", "words"), [("gone", "no longer at its address"), ("gated", "hf auth login")])
def test_gone_and_gated_repositories_are_told_apart(shop: Shop, fault, words):
    getattr(shop.hub, fault).add("quintet/parcel")
    with pytest.raises(WeightsError, match=words):
        shop.get(shop.preset())


@pytest.mark.parametrize("name", ["unet/../../../outside.json", "/outside.json"])
def test_a_file_that_would_lie_outside_of_its_repository_is_refused(shop: Shop, name):
    shop.hub.publish("quintet/parcel", network_files() | {name: b"{}"}, COMMIT)
    with pytest.raises(WeightsError, match=r"names a file outside of it: '.*outside.json'"):
        shop.get(shop.preset())


def test_a_repository_without_safetensors_is_refused_before_the_download(shop: Shop):
    files = {name: content for name, content in network_files().items() if not name.endswith(".safetensors")}
    shop.hub.publish("quintet/parcel", files, COMMIT)
    with pytest.raises(WeightsError, match=r"at cccccccc has no .*safetensors"):
        shop.get(shop.preset())


def test_the_commit_behind_a_branch_and_the_day_of_consent_are_recorded(shop: Shop):
    survey(shop.library, shop.preset())
    place = HubSource.parse("hub:quintet/parcel:unet").place
    asked = shop.library.records.read(place)
    assert asked is not None and asked.listing.commit == COMMIT and not asked.accepted
    shop.get(shop.preset())
    fetched = shop.library.records.read(place)
    assert fetched is not None and fetched.accepted == time.strftime("%Y-%m-%d")


def test_verify_finds_one_changed_bit_and_get_mends_it(shop: Shop):
    preset = shop.preset((shop.stacking(),), made=str(shop.folder / "made"), network="hub:quintet/parcel:unet")
    shop.get(preset)
    stacked = shop.folder / "made/stacked.bin"
    for path in (blob(network_files()[NETWORK]), stacked):
        assert shop.library.verify(preset).damaged == ()
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        (found,) = shop.library.verify(preset).damaged
        assert found.resolve() == path
        shop.library.remove_damaged([found])
        shop.get(preset)
        assert path.read_bytes() == content


def test_free_keeps_what_another_ready_preset_uses(shop: Shop):
    one, other = shop.preset(), shop.preset(name="other", network="hub:quintet/parcel:unet")
    shop.get(one)
    assert shop.library.free(one, [one, other]) == len(network_files()["tokenizer/vocab.json"])
    assert shop.library.status(other).ready and not shop.library.status(one).ready
    assert shop.library.free(other, [one, other]) > BIG
    assert not list(hub_cache.repository_folder("quintet/parcel").rglob("*.safetensors"))


def test_published_files_are_converted_once_and_then_may_go(shop: Shop):
    preset = shop.preset((shop.stacking(times=2),), made=str(shop.folder / "made"))
    assert "to fetch" in str(shop.library.status(preset)) or shop.library.status(preset).to_make
    shop.get(preset)
    expected = b"not for sale" * 2 + b'{"a": 1}'
    assert (shop.folder / "made/stacked.bin").read_bytes() == expected
    assert shop.library.free(preset, [preset], originals_only=True) == len(b"not for sale") + len(b'{"a": 1}')
    assert shop.library.status(preset).ready and shop.library.verify(preset).damaged == ()
    shop.hub.answers.clear()
    shop.get(preset)
    assert not shop.hub.answers


def test_a_conversion_that_is_refused_leaves_nothing_behind(shop: Shop):
    shop.hub.publish("quintet/parcel", network_files() | {"LICENSE": b""}, COMMIT)
    preset = shop.preset((shop.stacking(),), made=str(shop.folder / "made"))
    with pytest.raises(WeightsError, match="LICENSE is empty; it should hold something"):
        shop.get(preset)
    assert not list(shop.folder.glob("made*"))


def test_a_conversion_that_breaks_names_its_reason(shop: Shop):
    preset = shop.preset((shop.stacking(unknown=1),), made=str(shop.folder / "made"))
    with pytest.raises(WeightsError, match=r"failed: TypeError.*unknown"):
        shop.get(preset)


def test_a_persons_own_folder_is_moved_aside_not_deleted(shop: Shop):
    (shop.folder / "made").mkdir()
    (shop.folder / "made/own.txt").write_text("mine")
    preset = shop.preset((shop.stacking(),), made=str(shop.folder / "made/stacked.bin"))
    shop.get(preset)
    (kept,) = shop.folder.glob("made.before-*/own.txt")
    assert kept.read_text() == "mine" and (shop.folder / "made/stacked.bin").is_file()


def test_a_file_from_a_browser_is_taken_from_a_folder_and_checked(shop: Shop):
    content = b"from a browser"
    place = f"hand:CVD.ckpt#sha256={hashlib.sha256(content).hexdigest()}"
    sources = {"first": Published(place), "second": Published("hub:quintet/parcel@main:LICENSE")}
    conversion = Conversion(str(shop.folder / "made"), "tests.fakes.parcel:stack", sources)
    preset = shop.preset((conversion,), made=str(shop.folder / "made"))
    downloads = shop.folder / "downloads"
    with pytest.raises(WeightsError, match=r"CVD.ckpt cannot be fetched by a program.*--from FOLDER"):
        shop.get(preset, by_hand=downloads)
    assert not shop.hub.sent("LICENSE")  # asked for before anything large is fetched
    downloads.mkdir()
    (downloads / "CVD.ckpt").write_bytes(b"a web page instead")
    with pytest.raises(WeightsError, match="checksum differs"):
        shop.get(preset, by_hand=downloads)
    (downloads / "CVD.ckpt").write_bytes(content)
    shop.get(preset, by_hand=downloads)
    assert (shop.folder / "made/stacked.bin").read_bytes() == content + b"not for sale"


def test_a_file_at_an_address_is_continued_and_checked_like_any_other(shop: Shop):
    content = network_files()[NETWORK]
    shop.hub.plain["/releases/pack.zip"] = content
    shop.hub.cut_after["/releases/pack.zip"] = HALF
    place = f"{shop.hub.address}/releases/pack.zip#sha256={hashlib.sha256(content).hexdigest()}"
    sources = {"first": Published("hub:quintet/parcel@main:LICENSE"), "second": Published(place)}
    conversion = Conversion(str(shop.folder / "made"), "tests.fakes.parcel:stack", sources)
    preset = shop.preset((conversion,), made=str(shop.folder / "made"))
    shop.get(preset)
    assert (shop.folder / "made/stacked.bin").read_bytes() == b"not for sale" + content
    assert len(shop.hub.sent("pack.zip")) == 2


def test_an_address_without_a_checksum_is_refused(shop: Shop):
    sources = {"first": Published(f"{shop.hub.address}/x.zip"), "second": Published("hub:quintet/parcel@main:LICENSE")}
    conversion = Conversion(str(shop.folder / "made"), "tests.fakes.parcel:stack", sources)
    with pytest.raises(WeightsError, match="without its sha256"):
        shop.get(shop.preset((conversion,), made=str(shop.folder / "made")))


def test_a_damaged_record_counts_as_absent(shop: Shop):
    shop.get(shop.preset())
    for record in shop.library.records.folder.glob("*.json"):
        record.write_text(json.dumps({"files": 3}))
    assert shop.library.status(shop.preset()).ready  # seen from the files themselves


@pytest.mark.parametrize("source", ["hub:one", "hub:a/b@", "hub:a/b c"])
def test_a_source_of_another_form_is_named(source):
    with pytest.raises(ValueError, match="hub:owner/name@revision:path"):
        HubSource.parse(source)


def test_weights_in_the_repository_need_nothing(tmp_path):
    from studio.presets import load_presets

    status = Library(tmp_path).status(load_presets()["repvideo/pocket"])
    assert status.ready and not status.parts


def test_what_no_one_publishes_is_named_and_the_rest_is_fetched(shop: Shop):
    own = str(shop.folder / "own")
    preset = shop.preset(network="hub:quintet/parcel:unet", extra=own)
    shop.get(preset)
    status = shop.library.status(preset)
    assert status.missing == (own,) and not status.ready and status.parts[0].here
    with pytest.raises(WeightsError, match="own, which no one publishes"):
        shop.get(preset)
    Path(own).mkdir()
    assert shop.library.status(preset).ready
