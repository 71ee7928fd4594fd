"""Pictures that people give, as arrays."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

SMALLEST_SIDE = 16  # pixels; nothing can be recognised in less


def read_picture(path: Path) -> np.ndarray:
    """uint8 [height, width, 3], RGB, turned as its camera says; what is transparent lies on white.

    ValueError when it is no picture, too small, or so large that opening it would be an attack on the memory. The
    messages leave out the file's name, which may be a person's: messages are kept in the history.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                picture = ImageOps.exif_transpose(opened)
                if picture.has_transparency_data:
                    picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
                picture = picture.convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError("The picture has too many pixels. Make it smaller first.") from error
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError("The file is not a picture that can be read. Use a PNG, JPEG or WebP file.") from error
    if min(picture.size) < SMALLEST_SIDE:
        width, height = picture.size
        raise ValueError(f"The picture has {width}x{height} pixels; it needs {SMALLEST_SIDE} on each side.")
    return np.asarray(picture)
