"""Assemble what a mode needs in a folder, and upload it. The Hub's token comes from the environment alone."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio.events import StudioError
from studio.space import files, front_matter, versions
from studio.space.modes import Mode

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
DOCS, PAGE, ATLAS = Path("docs"), "index.html", "atlas"


def assemble(root: Path, mode: Mode, repository: str, target: Path, bundle: Path | None = None) -> None:
    """Everything to upload, in `target`. ValueError says what is missing."""
    fields, text = front_matter.read(root)
    readme = front_matter.joined(front_matter.for_mode(fields, mode, repository), text)
    if mode.sdk == "static":
        if bundle is None:
            _copy_atlas(root, target)
        else:
            _unpack_page(bundle, target)
        readme = readme.partition("\n# ")[0] + f"\n# {fields['title']}\nRecorded comparisons of generated videos.\n"
    else:
        files.copy(root, files.for_space(files.tracked(root)), target)
        (target / "requirements.txt").write_text(versions.pinned(root, mode), encoding="utf-8")
    (target / "README.md").write_text(readme, encoding="utf-8")


def push(
    root: Path, mode: Mode, repository: str, *, variables: Mapping[str, str] | None = None, bundle: Path | None = None,
    private: bool = False, api: Any = None,
) -> str:  # fmt: skip
    """Make the Space if there is none, set its variables, upload; its address. `api` is huggingface_hub's HfApi.

    ValueError for what the caller got wrong, StudioError for what the Hub answers.
    """
    if not front_matter.REPOSITORY.fullmatch(repository):
        raise ValueError(f"--push wants OWNER/NAME, got {repository!r}.")
    if api is None:
        api = _signed_in()
    from huggingface_hub.errors import HfHubHTTPError

    with tempfile.TemporaryDirectory(prefix="quintet-push-") as folder:
        assemble(root, mode, repository, Path(folder), bundle)
        settings = {**mode.variables, **(variables or {})} if mode.sdk != "static" else {}
        try:
            api.create_repo(
                repo_id=repository, repo_type="space", space_sdk=mode.sdk, space_hardware=mode.hardware,
                private=private, exist_ok=True,
            )  # fmt: skip
            for name, value in settings.items():
                api.add_space_variable(repository, name, value)
            api.upload_folder(
                repo_id=repository, repo_type="space", folder_path=folder, delete_patterns="*",
                commit_message=f"Quintet, {mode.name}",
            )  # fmt: skip
        except (HfHubHTTPError, OSError) as error:
            first = str(error).partition("\n")[0] or type(error).__name__
            raise StudioError(f"The Hub refused {repository}: {first}.", "Check the token and the name.") from error
    return f"https://huggingface.co/spaces/{repository}"


def _copy_atlas(root: Path, target: Path) -> None:
    """The page of the recorded comparisons, its clips beside it."""
    page = root / DOCS / PAGE
    if not page.is_file():
        raise ValueError(f"There is no {DOCS / PAGE} to show: `make atlas` makes it, or name a zip with --bundle.")
    (target / PAGE).write_bytes(page.read_bytes())
    shutil.copytree(root / DOCS / ATLAS, target / ATLAS)


def _unpack_page(bundle: Path, target: Path) -> None:
    """The page of a saved comparison; it holds its clips."""
    try:
        with zipfile.ZipFile(bundle) as archive:
            (target / PAGE).write_bytes(archive.read(PAGE))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{bundle} is not a bundle saved by Quintet.") from error


def _signed_in() -> Any:
    token = next((os.environ[name] for name in TOKENS if os.environ.get(name)), None)
    if token is None:
        raise ValueError("There is no token. Set HF_TOKEN to a token of the Hub that may write.")
    from huggingface_hub import HfApi

    return HfApi(token=token)
