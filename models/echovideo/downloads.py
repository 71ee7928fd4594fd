"""EchoVideo's published files: from where, under which terms, and how they become weights."""

from models.common.cogvideox.downloads import cogvideox_terms
from models.method import Conversion, Published, Terms

ANTELOPE = "https://github.com/deepinsight/insightface/releases/download/v0.7/antelopev2.zip"
ANTELOPE_SUM = "8e182f14fc6e80b3bfa375b33eb6cff7ee05d8ef7633e738d1c89021dcf0c5c5"
BISENET = "https://github.com/xinntao/facexlib/releases/download/v0.2.0/parsing_bisenet.pth"
BISENET_SUM = "468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567"

CONVERSIONS = (
    Conversion(
        "weights/echovideo/vision",
        "models.echovideo.convert:convert_release",
        {
            "transformer": Published(
                "hub:bytedance-research/EchoVideo@main:transformer",
                ("config.json", "diffusion_pytorch_model-*.safetensors"),
            ),
            "siglip": Published(
                "hub:google/siglip-base-patch16-224@7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed",
                ("config.json", "model.safetensors"),
            ),
        },
    ),
    Conversion(
        "weights/echovideo/antelopev2",
        "models.common.face_insightface:unpack",
        {"archive": Published(f"{ANTELOPE}#sha256={ANTELOPE_SUM}")},
    ),
    Conversion(
        "weights/echovideo/face_parser",
        "models.common.face_parsing:convert",
        {"checkpoint": Published(f"{BISENET}#sha256={BISENET_SUM}")},
    ),
)

TERMS = (
    Terms(
        name="EchoVideo's transformer",
        url="https://huggingface.co/bytedance-research/EchoVideo",
        bytes=11_242_518_404,
        licence="CC BY-NC 4.0",
        licence_url="https://creativecommons.org/licenses/by-nc/4.0/",
        non_commercial=True,
        covers=("hub:bytedance-research/EchoVideo",),
    ),
    cogvideox_terms("5B", "'s text encoder and VAE", 9_960_000_000),
    Terms(
        name="SigLIP base, of which the vision tower is used",
        url="https://huggingface.co/google/siglip-base-patch16-224",
        bytes=813_000_000,
        licence="Apache-2.0",
        licence_url="https://www.apache.org/licenses/LICENSE-2.0",
        covers=("hub:google/siglip-base-patch16-224",),
    ),
    Terms(
        name="insightface's antelopev2, face detector and recogniser",
        url=ANTELOPE,
        bytes=360_662_982,
        licence="insightface model licence",
        licence_url="https://github.com/deepinsight/insightface#license",
        non_commercial=True,
        condition="For non-commercial research only.",
        covers=("https://github.com/deepinsight/insightface/",),
    ),
    Terms(
        name="facexlib's BiSeNet face parser",
        url=BISENET,
        bytes=53_289_463,
        licence="MIT",
        licence_url="https://github.com/xinntao/facexlib/blob/master/LICENSE",
        condition="Trained on CelebAMask-HQ, whose pictures are for non-commercial research.",
        covers=("https://github.com/xinntao/facexlib/",),
    ),
)
