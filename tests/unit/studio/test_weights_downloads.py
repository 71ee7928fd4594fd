"""Downloads that the page starts: with consent, once for all visitors, stopped, failed in words; and the box."""

from __future__ import annotations

import pytest

from studio.settings import StudioSettings
from studio.ui import weights_panel
from studio.ui.serve import is_private
from studio.weights.downloads import Download, Downloads
from studio.weights.fetching import Progress
from tests.unit.studio.weights_shop import NETWORK, Shop

HALF = 1 << 20


@pytest.fixture
def downloads(shop: Shop) -> Downloads:
    return Downloads(shop.library)


def ended(downloads: Downloads, preset) -> Download:
    return list(downloads.follow(preset))[-1]


def test_a_download_ends_with_the_weights_on_disk(shop: Shop, downloads: Downloads):
    preset = shop.preset()
    assert list(downloads.follow(preset)) == []
    downloads.start(preset, agreed=True)
    last = ended(downloads, preset)
    assert not last.running and not last.failure and downloads.status(preset).ready
    assert last.progress is not None and last.progress.done == last.progress.total


def test_nothing_starts_without_consent_or_where_visitors_are_strangers(shop: Shop, downloads: Downloads):
    with pytest.raises(ValueError, match="Accept the terms first"):
        downloads.start(shop.preset(), agreed=False)
    with pytest.raises(ValueError, match="on the machine itself"):
        Downloads(shop.library, allowed=False).start(shop.preset(), agreed=True)
    assert not shop.hub.answers and downloads.state(shop.preset()) is None


def test_a_second_visitor_joins_and_a_stop_keeps_what_has_arrived(shop: Shop, downloads: Downloads):
    preset = shop.preset()
    shop.hub.hold_after[NETWORK] = HALF
    first = downloads.start(preset, agreed=True)
    assert shop.hub.held.wait(60)
    assert downloads.start(preset, agreed=True) is first
    downloads.stop(preset)
    assert "What has arrived is kept" in ended(downloads, preset).failure
    shop.hub.release.set()
    downloads.start(preset, agreed=True)
    assert not ended(downloads, preset).failure
    assert [answer.start > 0 for answer in shop.hub.sent(NETWORK)] == [False, True]


def test_a_failure_is_a_sentence(shop: Shop, downloads: Downloads):
    shop.hub.gone.add("quintet/parcel")
    downloads.start(shop.preset(), agreed=True)
    assert "no longer at its address" in ended(downloads, shop.preset()).failure


def test_an_unforeseen_failure_ends_the_wait_too(shop: Shop, downloads: Downloads, monkeypatch, caplog):
    def broken(*arguments):
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("studio.weights.downloads.survey", broken)
    downloads.start(shop.preset(), agreed=True)
    assert "the log has the reason" in ended(downloads, shop.preset()).failure
    assert "unforeseen" in caplog.text


def test_the_box_says_what_from_where_how_large_and_under_which_terms(shop: Shop):
    words = weights_panel.describe(shop.library.status(shop.preset()), True, shop.library.published)
    for part in ("3.0 MB", "The parcel", "https://example.org/parcel", "CC BY-NC 4.0", "not for commercial use"):
        assert part in words
    assert "python -m studio" not in words
    command = weights_panel.describe(shop.library.status(shop.preset()), False, shop.library.published)
    assert "python -m studio weights get parcel/full" in command


def test_the_bar_shows_bytes_and_escapes_names():
    bar = weights_panel.progress(Download(Progress("<b>: x", 1_500_000, 3_000_000)))
    assert 'max="3000000" value="1500000"' in bar and "1.5 MB of 3.0 MB" in bar and "&lt;b&gt;" in bar
    assert "<progress>" in weights_panel.progress(Download())


@pytest.mark.parametrize(
    ("host", "variable", "private"),
    [("127.0.0.1", "", True), ("0.0.0.0", "", False), ("127.0.0.1", "SPACE_ID", False)],
)
def test_strangers_are_not_offered_downloads(settings: StudioSettings, monkeypatch, host, variable, private):
    for name in ("SPACE_ID", "GRADIO_SERVER_NAME"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "someone/somewhere")
    settings.host = host
    assert is_private(settings) is private
