"""CVD's published files: from where, under which terms, and how they become weights."""

from models.common.animatediff.downloads import BASE, BASE_TERMS
from models.method import Conversion, Published, Terms

ANIMATEDIFF = "hub:guoyww/animatediff@fdfe36afa161e51b3e9c24022b0e368d59e7345e"
CAMERACTRL = "hub:hehao13/CameraCtrl@main"  # its newest commit was not at hand; the one that is fetched is recorded

TERMS = (
    BASE_TERMS,
    Terms(
        name="AnimateDiff v3's motion modules and domain adapter",
        url="https://huggingface.co/guoyww/animatediff",
        bytes=1_775_000_000,
        licence="Apache-2.0",
        licence_url="https://www.apache.org/licenses/LICENSE-2.0",
        covers=("hub:guoyww/animatediff",),
    ),
    Terms(
        name="CameraCtrl",
        url="https://huggingface.co/hehao13/CameraCtrl",
        bytes=0,
        licence="MIT",
        licence_url="https://huggingface.co/hehao13/CameraCtrl",
        covers=("hub:hehao13/CameraCtrl",),
    ),
    Terms(
        name="CVD's cross-view modules",
        url="https://drive.google.com/file/d/1z6cR3PbqnrlVjXJJlk6AYxdl8z18hvtL",
        bytes=1_670_000_000,
        licence="not stated by its authors",
        licence_url="https://github.com/CollaborativeVideoDiffusion/CVD",
        condition="The code is Apache-2.0; ask the authors before other than private use of the weights.",
        covers=("hand:CVD.ckpt",),
    ),
)

CONVERSIONS = (
    Conversion(
        folder="weights/cvd",
        convert="models.cvd.convert:convert_release",
        sources={
            "unet": Published(f"{BASE}:unet", ("config.json", "diffusion_pytorch_model.safetensors")),
            "motion": Published(f"{ANIMATEDIFF}:v3_sd15_mm.ckpt"),
            "adapter": Published(f"{ANIMATEDIFF}:v3_sd15_adapter.ckpt"),
            "camera": Published(f"{CAMERACTRL}:CameraCtrl.ckpt"),
            "cvd": Published(
                "hand:CVD.ckpt"
            ),  # no checksum is published; names and shapes are checked by the conversion
        },
    ),
)
