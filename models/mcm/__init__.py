"""MCM: video in four steps instead of fifty, motion from a video teacher, looks from pictures."""

from models.mcm.config import McmRequest, McmWeights, recipe
from models.mcm.downloads import CONVERSIONS, TERMS
from models.method import Ablation, Method

METHOD = Method(
    name="mcm",
    title="MCM",
    summary="A video in four steps instead of fifty",
    paper="arXiv:2406.06890",
    request=McmRequest,
    weights=McmWeights,
    recipe=recipe,
    terms=TERMS,
    conversions=CONVERSIONS,
    ablations=(
        Ablation(
            "distillation",
            "Distillation",
            "Off, the teacher makes the video in its many guided steps.",
            {"teacher": True},
        ),
    ),
)
