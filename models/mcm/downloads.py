"""MCM's published files: from where, under which terms, and how adapters and teachers become weights."""

from models.common.animatediff.downloads import BASE, BASE_TERMS
from models.method import Conversion, Published, Terms

ADAPTERS = "hub:yhzhai/mcm@main"  # its newest commit was not at hand; the one that is fetched is recorded
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
MOTION = "hub:guoyww/animatediff-motion-adapter-v1-5-2@6167b88ffe39b4441fdf2113e77b99a6f56b7906"
MODELSCOPE = "hub:ali-vilab/text-to-video-ms-1.7b@8227dddca75a8561bf858d604cc5dae52b954d01"
NETWORK = ("config.json", "diffusion_pytorch_model.safetensors")

TERMS = (
    Terms(
        name="MCM's adapter",
        url="https://huggingface.co/yhzhai/mcm",
        bytes=434_000_000,
        licence="Apache-2.0",
        licence_url="https://www.apache.org/licenses/LICENSE-2.0",
        covers=("hub:yhzhai/mcm",),
    ),
    BASE_TERMS,
    Terms(
        name="AnimateDiff's motion modules",
        url="https://huggingface.co/guoyww/animatediff-motion-adapter-v1-5-2",
        bytes=1_817_000_000,
        licence="Apache-2.0",
        licence_url="https://www.apache.org/licenses/LICENSE-2.0",
        covers=("hub:guoyww/",),
    ),
    Terms(
        name="ModelScopeT2V",
        url="https://huggingface.co/ali-vilab/text-to-video-ms-1.7b",
        bytes=7_300_000_000,
        licence="CC BY-NC 4.0",
        licence_url="https://creativecommons.org/licenses/by-nc/4.0/",
        non_commercial=True,
        covers=("hub:ali-vilab/", "hub:damo-vilab/"),
    ),
)


def _conversion(name: str) -> Conversion:
    teacher = {"unet": Published(f"{BASE}:unet", NETWORK), "motion": Published(MOTION, NETWORK)}
    if name.startswith("modelscope"):
        teacher = {"unet": Published(f"{MODELSCOPE}:unet", NETWORK)}
    return Conversion(
        folder=f"weights/mcm/{name}",
        convert="models.mcm.convert:convert_release",
        sources={"adapter": Published(f"{ADAPTERS}:{name}", ADAPTER_FILES), **teacher},
    )


CONVERSIONS = tuple(
    _conversion(name)
    for name in (
        "animatediff-laion",
        "animatediff-webvid",
        "modelscopet2v-webvid",
        "modelscopet2v-laion",
        "modelscopet2v-anime",
        "modelscopet2v-real",
        "modelscopet2v-3d-cartoon",
    )
)
