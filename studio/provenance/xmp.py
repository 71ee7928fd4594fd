"""IPTC's "made by a trained algorithm" as XMP: in an mp4 as its own box, in pictures by Pillow.

Readers: any XMP tool. It survives copying; re-encoding and most web sites drop it.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from studio.video_files import append_box, outer_boxes

TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # XMP's identifier in mp4: XMP specification, part 3
MOST_BYTES = 1 << 20  # a longer packet is not read
PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    f' xmp:CreatorTool="Quintet" Iptc4xmpExt:DigitalSourceType="{TRAINED}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
).encode()


def append(path: Path) -> None:
    """Add the packet to a video."""
    append_box(path, BOX, PACKET)


def source_type(path: Path) -> str | None:
    """The DigitalSourceType of an mp4 or of a picture that Pillow opens; None where there is none."""
    packet = _of_video(path) or _of_picture(path)
    found = re.search(rb"DigitalSourceType(?:>|\s*=\s*[\"'])\s*([^\"'<\s]{1,200})", packet)
    return found[1].decode("ascii", "replace") if found else None


def _of_video(path: Path) -> bytes:
    with path.open("rb") as file:
        for kind, start, size in outer_boxes(file, path.stat().st_size):
            if kind == b"uuid" and 24 <= size <= MOST_BYTES:
                file.seek(start + 8)
                if file.read(16) == BOX:
                    return file.read(size - 24)
    return b""


def _of_picture(path: Path) -> bytes:
    from PIL import Image

    from models.common.pictures import FORMATS

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # only the header is read
            with Image.open(path, formats=FORMATS) as picture:
                packet = picture.info.get("xmp", b"")
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, EOFError, Image.DecompressionBombError):
        return b""
    return packet[:MOST_BYTES] if isinstance(packet, bytes) else str(packet)[:MOST_BYTES].encode("utf-8", "replace")
