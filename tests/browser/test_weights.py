"""A tab whose weights are missing: it says what is fetched under which terms, waits for consent, and then works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.steps import Tab, overflowing
from tests.browser.studio import running_studio
from tests.fakes.hub import Hub, running_hub
from tests.unit.studio.weights_shop import COMMIT, NETWORK, network_files

PATIENCE_MS = 90_000


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as running:
        running.publish("quintet/parcel", network_files(), COMMIT)
        yield running


@pytest.fixture
def address(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    folder = tmp_path / "presets" / "parcel"
    folder.mkdir(parents=True)
    network = f"hub:quintet/parcel@{COMMIT}"
    preset = {"method": "parcel", "weights": {"words": f"{network}:tokenizer", "extra": f"{network}:{NETWORK}"}}
    (folder / "full.yaml").write_text(yaml.safe_dump(preset), encoding="utf-8")
    settings = {
        "HF_HUB_OFFLINE": "0",
        "HF_ENDPOINT": hub.address,
        "HF_HUB_CACHE": tmp_path / "hub",
        "QUINTET_CACHE_DIR": tmp_path / "cache",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    with running_studio(tmp_path, tmp_path / "presets", "tests.fakes") as studio:
        yield studio.address


def open_tab(context, address: str) -> Tab:
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(address)
    return Tab(page, "Parcel")


def test_consent_download_cancel_continue_generate(chromium, address: str, hub: Hub):
    hub.hold_after[NETWORK] = 1 << 20
    with chromium.new_context(viewport=DESKTOP) as context:
        tab = open_tab(context, address)
        box = tab.panel.locator(".q-weights")
        box.get_by_text("3.0 MB").first.wait_for()
        expect(box).to_contain_text("CC BY-NC 4.0")
        expect(box).to_contain_text("not for commercial use")
        expect(box.get_by_role("link", name="The parcel")).to_have_attribute("href", "https://example.org/parcel")
        download, cancel = (box.get_by_role("button", name=name) for name in ("Download", "Cancel"))
        expect(download).to_be_disabled()
        expect(cancel).to_be_disabled()
        tab.generate.click()
        tab.panel.get_by_text("not on this machine").last.wait_for()
        assert not hub.answers  # nothing was asked before the consent
        box.get_by_label("I accept these terms").check()
        download.click()
        box.locator("progress[value]").wait_for()
        other = open_tab(chromium.new_context(viewport=DESKTOP), address)  # a second visitor sees the same download
        other.panel.locator(".q-weights progress[value]").wait_for()
        other.page.context.close()
        cancel.click()
        box.get_by_text("Download continues").wait_for()
        hub.release.set()
        download.click()
        box.wait_for(state="hidden")
        assert [answer.start > 0 for answer in hub.sent(NETWORK)] == [False, True]
        tab.finish()


def test_the_panel_fits_a_phone(chromium, address: str):
    with chromium.new_context(viewport=PHONE) as context:
        tab = open_tab(context, address)
        tab.panel.locator(".q-weights").wait_for()
        assert overflowing(tab.page) == []
