"""Addresses a browser can load: data URIs for previews, Gradio's file cache for clips and posters."""

from __future__ import annotations

import base64
import contextlib
from pathlib import Path
from urllib.parse import quote

from gradio.processing_utils import save_bytes_to_cache, save_file_to_cache
from gradio.utils import get_upload_folder

from studio.history import Entry

PICTURES = (
    (b"RIFF", "image/webp"),
    (b"\x89PNG", "image/png"),
    (b"GIF8", "image/gif"),
    (b"\xff\xd8", "image/jpeg"),
    (b"BM", "image/bmp"),
)


def data_uri(picture: bytes) -> str:
    """The bytes of a small picture, as a value for `src`."""
    kind = next((kind for start, kind in PICTURES if picture.startswith(start)), "image/webp")
    return f"data:{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def file_url(path: Path | None) -> str | None:
    """A relative address of a file on this machine, or None when it is gone.

    Only a copy in Gradio's cache is served, under a hash of its content: the folder of results stays closed.
    """
    copy = None if path is None else cached(path)
    return None if copy is None else "gradio_api/file=" + quote(copy)


def is_upload(path: Path) -> bool:
    """Whether the file came through the page: Gradio keeps it under a name that nobody can guess."""
    return path.resolve().is_relative_to(Path(get_upload_folder()).resolve())


def cached(path: Path) -> str | None:
    """The path of a copy in Gradio's cache, None when the file is gone."""
    return save_file_to_cache(path, cache_dir=get_upload_folder()) if path.is_file() else None


def remove_result(entry: Entry, results: Path) -> None:
    """Delete a result's files and the copies that browsers were given. Nothing outside the folder of results."""
    for path in filter(None, (*entry.paths, entry.poster)):
        if path.resolve().is_relative_to(results.resolve()):
            copy = cached(path)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
                Path(copy or path).unlink(missing_ok=True)


def cached_bytes(content: bytes, name: str) -> Path:
    """A file in Gradio's cache with this content."""
    return Path(save_bytes_to_cache(content, name, get_upload_folder()))
