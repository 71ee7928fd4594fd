"""One studio and one Chromium for all tests here; a fresh browser context, that is a fresh visitor, for each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.steps import Tab, ready
from tests.browser.studio import ROOT, Studio, running_studio, write_presets

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PATIENCE_MS = 20_000
PATIENCE_WITH_NETWORKS_MS = 300_000  # other work may share the cores


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("studio")
    presets = write_presets(folder / "presets", folder / "release")
    with running_studio(folder, presets, "tests.fakes") as running:
        yield running


@pytest.fixture(scope="session")
def chromium_path() -> str:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(CHROMIUM).exists() and shutil.which("chromium") is None:
        pytest.skip(f"there is no Chromium at {CHROMIUM}")
    return CHROMIUM if Path(CHROMIUM).exists() else str(shutil.which("chromium"))


@pytest.fixture(scope="session")
def driver(chromium_path: str) -> Iterator:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium(driver, chromium_path: str) -> Iterator:
    browser = driver.chromium.launch(executable_path=chromium_path, headless=True, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture
def holding(studio: Studio) -> Iterator[None]:
    """While the test runs, jobs of the tab Held wait; whatever it left waiting ends before the next test begins."""
    studio.release.unlink(missing_ok=True)
    yield
    studio.release.touch()
    studio.settle()


@pytest.fixture
def visit(chromium, studio: Studio, holding) -> Iterator[Callable]:
    """visit(viewport=..., color_scheme=...) opens the page as a new visitor."""
    contexts = []

    def open_page(**options):
        context = chromium.new_context(**({"viewport": DESKTOP} | options))
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.goto(studio.address)
        ready(page)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(visit):
    return visit()


@pytest.fixture(scope="session")
def pocket_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """The studio as it is, with the weights of the repository."""
    with running_studio(tmp_path_factory.mktemp("pocket"), ROOT / "presets") as running:
        yield running


@pytest.fixture
def pocket_tab(chromium, pocket_studio: Studio) -> Iterator[Callable]:
    """pocket_tab(title) opens that tab as a new visitor, who waits for as long as real networks take."""
    contexts = []

    def open_tab(title: str, steps: int | None = 4) -> Tab:
        context = chromium.new_context(viewport=DESKTOP)
        context.set_default_timeout(PATIENCE_WITH_NETWORKS_MS)
        contexts.append(context)
        page = context.new_page()
        page.goto(pocket_studio.address)
        ready(page)
        tab = Tab(page, title)
        if steps is not None:
            tab.panel.locator(".q-field-num_inference_steps input[type=number]").fill(str(steps))
        return tab

    yield open_tab
    for context in contexts:
        context.close()
