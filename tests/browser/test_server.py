"""What the server process holds and gives away. Needs no browser."""

from __future__ import annotations

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


def test_no_handler_is_offered_as_an_api(studio):
    with urllib.request.urlopen(f"{studio.address}/gradio_api/info") as answer:
        assert answer.read() == b'{"named_endpoints":{},"unnamed_endpoints":{}}'
