"""CustomVideoX: text to video around any subject, from one picture of it."""

from models.customvideox.config import CustomVideoXRequest, Weights, check, choices, inspector, recipe
from models.customvideox.downloads import TERMS
from models.method import Ablation, Method

METHOD = Method(
    name="customvideox",
    title="CustomVideoX",
    summary="Any subject from one picture, in a video of your words. The picture's tokens join the attention of every "
    "frame, and how much they weigh follows the steps and the place of the subject.",
    paper="https://arxiv.org/abs/2502.06527",
    request=CustomVideoXRequest,
    weights=Weights,
    recipe=recipe,
    check=check,
    choices=choices,
    inspector=inspector,
    terms=TERMS,
    compared={"show_attention": False},
    note="Its authors published neither code nor weights: network, training and pocket weights are ours, after the "
    "paper; at full size it takes a LoRA of your own.",
    ablations=(
        Ablation(
            "reference_attention",
            "Reference attention off",
            "The network without its LoRA sees the words alone, as plain CogVideoX.",
            {"reference_attention": False},
        ),
        Ablation(
            "time_aware_bias",
            "Time-aware bias off",
            "The picture weighs the same in every step, as in training.",
            {"time_aware_bias": False},
        ),
        Ablation(
            "entity_region",
            "Entity region off",
            "The picture weighs the same everywhere in the frame.",
            {"entity_region": False},
        ),
    ),
)
