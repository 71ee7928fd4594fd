"""MCM: video in four steps instead of fifty, motion from a video teacher, looks from pictures."""

from models.mcm.config import McmRequest, McmWeights, check, recipe
from models.mcm.downloads import CONVERSIONS, TERMS
from models.method import Ablation, Lineup, Method

METHOD = Method(
    name="mcm",
    title="MCM",
    summary="A video in four steps instead of fifty",
    paper="arXiv:2406.06890",
    request=McmRequest,
    weights=McmWeights,
    recipe=recipe,
    check=check,
    terms=TERMS,
    conversions=CONVERSIONS,
    ablations=(
        Ablation(
            "distillation",
            "Distillation",
            "Off, the teacher makes the video in its many guided steps.",
            {"teacher": True},
            steps="teacher_steps",
        ),
    ),
    lineups=(
        Lineup(
            "steps",
            "Compare with the teacher",
            "Opens Compare with the same prompt and seed by the teacher in 50 and 25 steps, by MCM in 8, 4, 2, 1.",
            {f"Teacher, {steps} steps": {"teacher": True, "teacher_steps": steps} for steps in (50, 25)}
            | {f"MCM, {steps} steps": {"teacher": False, "num_inference_steps": steps} for steps in (8, 4, 2)}
            | {"MCM, 1 step": {"teacher": False, "num_inference_steps": 1}},
        ),
    ),
)
