"""CogVideoX's terms, for the parts that a method takes of it."""

from models.method import Terms

LICENCES = {
    "2B": ("Apache-2.0", ""),
    "5B": ("CogVideoX licence", "Commercial use needs a registration with its authors."),
}


def cogvideox_terms(size: str, parts: str, bytes: int) -> Terms:
    """`size` 2B or 5B; `parts` names what is fetched of it, `bytes` is how much that is."""
    licence, condition = LICENCES[size]
    repository = f"THUDM/CogVideoX-{size.lower()}"
    address = f"https://huggingface.co/{repository}"
    return Terms(
        name=f"CogVideoX-{size}{parts}",
        url=address,
        bytes=bytes,
        licence=licence,
        licence_url=f"{address}/blob/main/LICENSE",
        condition=condition,
        covers=(f"hub:{repository}",),
    )
