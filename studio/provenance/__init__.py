"""Marking of everything that is written, and reading the marking back. What each mark proves: docs/provenance.md.

Three marks, on by default, each for another fate of a file: XMP for tools that look, a C2PA manifest that shows
later changes, an invisible watermark that outlives re-encoding. Importing this is light.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.provenance import manifest, xmp
from studio.video_files import copy_frames, sampled_frames, video_format

if TYPE_CHECKING:
    import numpy as np

    from studio.provenance.manifest import Manifest
    from studio.provenance.watermark import Detection

XMP = xmp.PACKET
FRAMES_READ = 64  # evenly over a long video: the watermark is the same in all of them
MOST_DECODED = 256 << 20  # bytes of RGB


@dataclass(frozen=True)
class Findings:
    """What a file says of itself. `settings` are the studio's own, None when removed or foreign; `watermark` is None
    where no picture could be read; `source_type` is XMP's."""

    name: str
    source_type: str | None
    manifest: Manifest | None
    watermark: Detection | None
    settings: dict[str, Any] | None

    @property
    def generated(self) -> bool:
        """Whether any mark says that this was generated."""
        signed = self.manifest is not None and self.manifest.generated
        return self.source_type == xmp.TRAINED or signed or (self.watermark is not None and self.watermark.found)


def watermarked(frames: np.ndarray) -> np.ndarray:
    """uint8 [frames, height, width, 3] with the invisible mark."""
    from studio.provenance.watermark import embed

    return embed(frames)


def mark_video(path: Path, certificates: Path | None) -> None:
    """Add XMP and, with a folder of certificates, a C2PA manifest to an mp4, in place."""
    xmp.append(path)
    if certificates is not None:
        manifest.sign(path, certificates)


def inspect(path: Path, certificates: Path) -> Findings:
    """Read every mark. ValueError for what is neither a video nor a picture."""
    from studio.outputs import read_settings
    from studio.provenance.watermark import detect

    if not path.is_file():
        raise ValueError(f"There is no file {path.name}.")
    frames = _frames(path)
    settings = None
    with contextlib.suppress(ValueError):
        settings = read_settings(path)
    return Findings(path.name, xmp.source_type(path), manifest.read(path, certificates), detect(frames), settings)


def clean_copy(source: Path, target: Path, certificates: Path) -> None:
    """The same frames, bit for bit, without settings, title or any other tag; marked and signed anew.

    ValueError when `source` is not a video.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        copy_frames(source, part)
        mark_video(part, certificates)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _frames(path: Path) -> np.ndarray:
    """uint8 [frames, height, width, 3] of a video, evenly over its length, or of a picture."""
    import numpy as np

    from models.common.pictures import NoPicture, read_picture

    if video_format(path) is not None:
        found = sampled_frames(path, FRAMES_READ, MOST_DECODED)
        if not found:
            raise ValueError(f"{path.name} has no frame that can be read.")
        return np.stack(found)
    try:
        return read_picture(path)[None]
    except NoPicture as error:
        raise ValueError(f"{path.name} is neither a video nor a picture that can be read.") from error
