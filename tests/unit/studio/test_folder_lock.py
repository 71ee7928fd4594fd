from __future__ import annotations

import os
import subprocess
import sys

import pytest

from studio.events import StudioError
from studio.folder_lock import only_studio


def test_a_second_studio_on_one_folder_is_refused_by_name(tmp_path):
    with only_studio(tmp_path / "outputs"):
        with pytest.raises(StudioError, match=f"process {os.getpid()}") as caught, only_studio(tmp_path / "outputs"):
            pass
        assert str(tmp_path / "outputs") in caught.value.message and "--output-dir" in caught.value.advice
        with only_studio(tmp_path / "others"):
            pass
    with only_studio(tmp_path / "outputs"):
        pass


def test_a_studio_that_was_killed_leaves_the_folder_free(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from studio.folder_lock import only_studio
with only_studio(Path({str(tmp_path)!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    with only_studio(tmp_path):
        pass
