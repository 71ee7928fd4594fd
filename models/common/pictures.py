"""Pictures that people give, as arrays."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

SMALLEST_SIDE = 16  # pixels; nothing can be recognised in less
LONGEST_SIDE = 16_384
# Whatever a file calls itself, only these readers see it: others of Pillow's start programs or are hardly ever used.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
MEGAPIXELS = "QUINTET_MAX_PICTURE_MEGAPIXELS"  # how the studio tells its workers
DEFAULT_MEGAPIXELS = 40


class NoPicture(ValueError):
    """The file is no picture, or a damaged one."""


class UnusablePicture(ValueError):
    """A picture, but one that is not used: the message says why."""


def read_picture(path: Path) -> np.ndarray:
    """uint8 [height, width, 3], RGB, turned as its camera says; what is transparent lies on white.

    ValueError when it is no picture, animated, too small, or so large that opening it would be an attack on the
    memory. The messages leave out the file's name, which may be a person's: messages are kept in the history.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as opened:
                _check(opened)
                picture = ImageOps.exif_transpose(opened)
                if picture.has_transparency_data:
                    picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
                picture = picture.convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError("The picture has too many pixels. Make it smaller first.") from error
    except UnusablePicture:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, TypeError, KeyError, EOFError) as error:
        raise NoPicture("The file is not a picture that can be read. Use a PNG, JPEG or WebP file.") from error
    return np.asarray(picture)


def _check(picture: Image.Image) -> None:
    """By the header alone, before anything is decoded."""
    width, height = picture.size
    if min(width, height) < SMALLEST_SIDE:
        raise UnusablePicture(f"The picture has {width}x{height} pixels; it needs {SMALLEST_SIDE} on each side.")
    most = int(os.environ.get(MEGAPIXELS, DEFAULT_MEGAPIXELS))
    if max(width, height) > LONGEST_SIDE or width * height > most * 1_000_000:
        raise UnusablePicture(
            f"The picture has too many pixels, {width}x{height}; at most {most} million fit. Make it smaller first."
        )
    # MPO is what many phones write: a JPEG with a second picture behind it
    if picture.format != "MPO" and getattr(picture, "n_frames", 1) > 1:
        raise UnusablePicture("The picture is animated. Use one that stands still.")
