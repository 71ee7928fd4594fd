"""What the server process holds and gives away. Needs no browser."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.browser.studio import ROOT


def test_the_server_never_loads_torch(studio):
    maps = Path(f"/proc/{studio.process.pid}/maps")
    if not maps.exists():
        pytest.skip("this system has no /proc")
    loaded = maps.read_text()
    assert "pydantic_core" in loaded  # the file does list compiled modules
    assert "libtorch" not in loaded


def test_the_page_module_imports_without_torch():
    code = "import sys, app, studio.ui.app; sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("file", ["history.sqlite", "../presets/sketch/pocket.yaml"])
def test_files_beside_the_results_are_not_served(studio, file):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{studio.address}/gradio_api/file={studio.outputs / file}")


def test_programs_are_offered_these_endpoints_and_no_handler_of_the_page(studio):
    with urllib.request.urlopen(f"{studio.address}/gradio_api/info") as answer:
        offered = json.load(answer)
    assert set(offered["named_endpoints"]) == {"/presets", "/generate", "/compare", "/metrics", "/inspect", "/forget"}
    assert offered["unnamed_endpoints"] == {}
