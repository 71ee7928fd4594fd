"""CVD: one scene filmed by several cameras at once, the views kept alike by attention along epipolar lines."""

from models.cvd.config import CvdRequest, CvdWeights, check, recipe, request_cameras
from models.cvd.downloads import CONVERSIONS, TERMS
from models.method import Ablation, Method

METHOD = Method(
    name="cvd",
    title="CVD",
    summary="One scene seen by several cameras at the same time",
    paper="arXiv:2405.17414",
    request=CvdRequest,
    weights=CvdWeights,
    recipe=recipe,
    check=check,
    cameras=request_cameras,
    terms=TERMS,
    conversions=CONVERSIONS,
    ablations=(
        Ablation(
            "synchronisation",
            "Synchronisation",
            "Off, the views do not see each other: same prompt, same cameras, another scene in each.",
            {"synchronized": False},
        ),
    ),
)
