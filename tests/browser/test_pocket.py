"""The real thing once: RepVideo's pocket preset, from the page to a playing video."""

from __future__ import annotations

import pytest

from tests.browser.conftest import ready
from tests.browser.steps import Tab, playing
from tests.browser.studio import ROOT, running_studio

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WEIGHTS = ROOT / "models/pocket/weights/repvideo"
MINUTES_MS = 300_000  # other work may share the cores


def test_repvideo_makes_a_video_from_the_prompt_it_opens_with(chromium, tmp_path):
    if not any(WEIGHTS.glob("*/*.safetensors")):
        pytest.skip("the pocket weights of RepVideo are not in this checkout")
    with running_studio(tmp_path, ROOT / "presets") as studio, chromium.new_context() as context:
        context.set_default_timeout(MINUTES_MS)
        page = context.new_page()
        page.goto(studio.address)
        ready(page)
        tab = Tab(page, "RepVideo")
        tab.finish()
        assert playing(page)
        assert len(list(studio.outputs.glob("*.mp4"))) == 1
