"""What CustomVideoX needs that others have published; of itself nothing is."""

from models.common.cogvideox.downloads import cogvideox_terms

TERMS = tuple(
    cogvideox_terms(size, ", the network CustomVideoX adds a LoRA to", bytes)
    for size, bytes in (("2B", 13_790_000_000), ("5B", 21_570_000_000))
)
