"""MCM as data: the request, the weights, the recipe. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models.common.animatediff.sizes import Config, check_length, check_size, saved_config
from models.method import Component, Recipe, Request, number, slider, switch, text

NETWORKS = {"animatediff": "diffusers:UNetMotionModel", "modelscope": "diffusers:UNet3DConditionModel"}


@dataclass
class McmRequest(Request):
    """What a person can ask of MCM."""

    prompt: str = text("What happens in the video.", required=True)
    num_inference_steps: int = slider(4, 1, 8, "4 is what it was made for; 1 is a draft.", label="Steps")
    seed: int = number(
        42, "The same seed and settings give the same video.", minimum=0, maximum=2**32 - 1, label="Seed"
    )
    teacher: bool = switch(
        False,
        "On: the many-step network that MCM was distilled from. In Compare: distillation off.",
        label="Teacher",
    )
    teacher_steps: int = slider(25, 1, 100, "Steps of the teacher.", label="Teacher's steps", advanced=True)
    guidance_scale: float = slider(
        7.5, 1.0, 20.0, "How closely the teacher follows the prompt; MCM has learnt it.", step=0.5,
        label="Teacher's guidance", advanced=True,
    )  # fmt: skip
    negative_prompt: str = text("What the teacher keeps out.", label="Teacher's negative prompt", advanced=True)
    num_frames: int = slider(16, 4, 32, "Frames of the video.", label="Frames", advanced=True)
    height: int = slider(256, 32, 768, "Pixels.", step=32, label="Height", advanced=True)
    width: int = slider(256, 32, 768, "Pixels.", step=32, label="Width", advanced=True)
    fps: int = slider(8, 1, 30, "Frames per second.", label="Frames per second", advanced=True)


@dataclass(frozen=True)
class McmWeights:
    """Folders in diffusers layout. `unet` is the teacher with an adapter merged: `python -m models.mcm.convert`.

    `teacher` may be empty; the tab then has no many-step comparison. With `adapter`, a folder of a released adapter's
    layout on this machine, `unet` is the teacher itself, and the student is made of both for each job.
    """

    unet: str
    vae: str
    text_encoder: str
    tokenizer: str
    scheduler: str
    teacher: str = ""
    adapter: str = ""
    network: Literal["animatediff", "modelscope"] = "animatediff"


def check(weights: McmWeights, request: McmRequest) -> None:
    """ValueError for what these weights cannot make, as far as it is known before they are loaded."""
    if request.teacher and not (weights.teacher or weights.adapter):
        raise ValueError("These weights come without their teacher. Switch the teacher off.")
    unet, vae = saved_config(weights.unet), saved_config(weights.vae)
    if unet and vae:
        check_networks(request, unet, vae)


def check_networks(request: McmRequest, unet: Config, vae: Config) -> None:
    """ValueError for a size or a length that these networks do not make."""
    check_size(unet, vae, request.height, request.width)
    check_length(request.num_frames, unet.get("motion_max_seq_length"))


def recipe(weights: McmWeights) -> Recipe:
    """The components of MCM."""
    if weights.network not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {weights.network!r}.")
    builder = NETWORKS[weights.network]
    if weights.adapter and weights.teacher:
        raise ValueError("With an adapter, unet is the teacher already. Leave teacher or adapter out.")
    teacher = (Component("teacher", builder, weights.teacher),) if weights.teacher else ()
    return Recipe(
        method="mcm",
        pipeline="models.mcm.pipeline:McmPipeline",
        components=(
            Component("tokenizer", "transformers:CLIPTokenizer", weights.tokenizer, ("encode",), "files"),
            Component("text_encoder", "transformers:CLIPTextModel", weights.text_encoder, ("encode",)),
            Component("unet", builder, weights.unet),
            *teacher,
            Component("scheduler", "diffusers:DDIMScheduler", weights.scheduler, ("denoise",), "files"),
            Component("vae", "diffusers:AutoencoderKL", weights.vae, ("denoise", "decode")),  # previews
        ),
        arguments={"adapter": weights.adapter},
    )
