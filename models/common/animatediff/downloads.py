"""Stable Diffusion 1.5, under the UNets of MCM and CVD: from where, and under which terms."""

from models.method import Terms

BASE = "hub:stable-diffusion-v1-5/stable-diffusion-v1-5@451f4fe16113bff5a5d2269ed5ad43b0592e9a14"
BASE_TERMS = Terms(
    name="Stable Diffusion 1.5",
    url="https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5",
    bytes=4_265_000_000,
    licence="CreativeML OpenRAIL-M",
    licence_url="https://huggingface.co/spaces/CompVis/stable-diffusion-license",
    condition="Forbids harmful uses, listed in its attachment A.",
    covers=("hub:stable-diffusion-v1-5/",),
)
