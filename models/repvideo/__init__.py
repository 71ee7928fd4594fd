"""RepVideo: text to video, steadied by features shared between neighbouring layers."""

from models.method import Ablation, Method
from models.repvideo.config import RepVideoRequest, Weights, check, choices, recipe
from models.repvideo.downloads import CONVERSIONS, TERMS

METHOD = Method(
    name="repvideo",
    title="RepVideo",
    summary="Text to video. Each layer also sees what its neighbours agree on, which steadies shapes and motion.",
    paper="https://arxiv.org/abs/2501.08994",
    request=RepVideoRequest,
    weights=Weights,
    recipe=recipe,
    check=check,
    choices=choices,
    terms=TERMS,
    conversions=CONVERSIONS,
    ablations=(
        Ablation(
            "feature_cache",
            "Feature cache off",
            "The layers work alone, as in plain CogVideoX.",
            {"feature_cache": False},
        ),
    ),
)
