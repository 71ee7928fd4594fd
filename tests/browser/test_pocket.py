"""The real thing once: RepVideo's pocket preset, from the page to a playing video."""

from __future__ import annotations

import pytest

from tests.browser.steps import playing
from tests.browser.studio import made

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_repvideo_makes_a_video_from_the_prompt_it_opens_with(pocket_tab, pocket_studio):
    tab = pocket_tab("RepVideo", steps=None)
    tab.finish()
    assert playing(tab.page)
    assert len(made(pocket_studio, "repvideo")) == 1
