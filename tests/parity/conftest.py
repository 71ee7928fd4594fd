"""Where the goldens are: `QUINTET_GOLDENS`, or `shared/goldens` beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def goldens() -> Path:
    folder = Path(os.environ.get("QUINTET_GOLDENS") or ROOT.parent / "shared" / "goldens")
    if not folder.is_dir():
        pytest.skip(f"no goldens at {folder}; set QUINTET_GOLDENS to their folder")
    return folder
