"""EchoVideo: text to video that keeps a person's identity, from one picture of the face."""

from models.echovideo.config import EchoVideoRequest, Weights, check, choices, inspector, recipe
from models.echovideo.downloads import CONVERSIONS, TERMS
from models.method import Ablation, Method

METHOD = Method(
    name="echovideo",
    title="EchoVideo",
    summary="A person from one picture, in a video of your words. Who they are enters the words themselves, so that "
    "pose and light follow the text instead of the picture.",
    paper="https://arxiv.org/abs/2501.13452",
    request=EchoVideoRequest,
    weights=Weights,
    recipe=recipe,
    check=check,
    choices=choices,
    inspector=inspector,
    terms=TERMS,
    conversions=CONVERSIONS,
    ablations=(
        Ablation(
            "identity_fusion",
            "Identity fusion off",
            "The words are fused with the face of nobody; only the picture in the first frame tells who it is.",
            {"identity_fusion": False},
        ),
    ),
)
