"""RepVideo's published files: from where, under which terms, and how they become weights."""

from models.common.cogvideox.downloads import cogvideox_terms
from models.method import Conversion, Published, Terms

CHECKPOINT = "hub:Vchitect/RepVideo@c30c5bd415cac42a2136da988ffd65cd9340c05b"

TERMS = (
    Terms(
        name="RepVideo's transformer",
        url="https://huggingface.co/Vchitect/RepVideo",
        bytes=3_460_000_000,
        licence="Apache-2.0",
        licence_url="https://www.apache.org/licenses/LICENSE-2.0",
        covers=("hub:Vchitect/RepVideo",),
    ),
    cogvideox_terms("2B", "'s text encoder and VAE", 10_390_000_000),
)

CONVERSIONS = (
    Conversion(
        folder="weights/repvideo",
        convert="models.repvideo.convert:convert_release",
        sources={"checkpoint": Published(CHECKPOINT, ("latest", "*/mp_rank_00_model_states.pt"))},
    ),
)
