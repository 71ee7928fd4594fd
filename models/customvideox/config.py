"""CustomVideoX as data: its request, its weights, its recipe. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from models.method import (
    Component,
    Recipe,
    Request,
    check_frames,
    choice,
    image,
    number,
    slider,
    switch,
    text,
)

CURVES = ("parabola", "fixed")
REGIONS = ("soft", "hard")
GUIDANCE = ("constant", "smooth", "dynamic")
SAMPLERS = {"dpm": "diffusers:CogVideoXDPMScheduler", "ddim": "diffusers:CogVideoXDDIMScheduler"}


@dataclass
class CustomVideoXRequest(Request):
    """What a person can ask of CustomVideoX."""

    prompt: str = text(
        "What happens, and where. Name the subject; the picture shows what it looks like.",
        label="Prompt", lines=4, required=True,
    )  # fmt: skip
    reference: Path | None = image(
        "One subject on a plain or transparent background.",
        label="Reference picture",
        required=False,
        inspected=True,
    )
    entity: str = text(
        "Its words in the prompt. Empty: found by itself.", label="Subject", lines=1, max_length=200, required=False
    )
    reference_attention: bool = switch(
        True, "The picture joins the attention of every layer. Off: words alone.", label="Reference attention"
    )
    time_aware_bias: bool = switch(
        True, "The picture weighs less in the first and last steps. Off: the same in all.", label="Time-aware bias"
    )
    entity_region: bool = switch(
        True, "The picture weighs more where the subject is being drawn.", label="Entity region"
    )
    seed: int = number(
        42, "The same seed and settings give the same video.", label="Seed", minimum=0, maximum=2**32 - 1
    )
    num_inference_steps: int = slider(50, 1, 100, "More steps, finer detail, longer wait.", label="Steps")
    guidance_scale: float = slider(6.0, 1.0, 15.0, "How closely to follow the prompt.", step=0.1, label="Guidance")
    reference_guidance: float = slider(
        1.0, 1.0, 10.0, "How closely to follow the picture. 1: as the network does by itself.",
        step=0.1, label="Reference guidance", advanced=True,
    )  # fmt: skip
    bias_minimum: float = slider(
        0.3, 0.05, 1.0, "The picture's weight in the first and last step; 1 is as trained.",
        step=0.05, label="Weight at the ends", advanced=True,
    )  # fmt: skip
    bias_maximum: float = slider(
        1.0, 0.5, 2.0, "The picture's weight in the middle of the steps.",
        step=0.05, label="Weight in the middle", advanced=True,
    )  # fmt: skip
    bias_curve: str = choice(
        "parabola", CURVES, "fixed has the parabola's mean in every step, for comparison.",
        label="Weight over the steps", advanced=True,
    )  # fmt: skip
    region_inside: float = slider(
        2.0, 1.0, 5.0, "How much more the picture weighs inside the region.",
        step=0.1, label="Weight inside the region", advanced=True,
    )  # fmt: skip
    region_outside: float = slider(
        1.0, 0.1, 1.0, "What is left of the picture's weight outside it.",
        step=0.05, label="Weight outside the region", advanced=True,
    )  # fmt: skip
    region_edge: str = choice("soft", REGIONS, "How the region ends.", label="Edge of the region", advanced=True)
    guidance_schedule: str = choice(
        "constant", GUIDANCE,
        "smooth rises with the steps; dynamic is the curve in CogVideoX's code, which jumps.",
        label="Guidance over the steps", advanced=True,
    )  # fmt: skip
    negative_prompt: str = text("What the video should not show.", label="Negative prompt", lines=2, advanced=True)
    show_attention: bool = switch(
        True, "A second clip: where the network sees the subject, and the picture's weight over the steps.",
        label="Show the attention", advanced=True,
    )  # fmt: skip
    num_frames: int = number(
        49, "Length in frames, as the weights allow.", label="Frames", minimum=1, maximum=1000, advanced=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reference is None and self.reference_attention:
            raise ValueError("Reference picture is missing. Add one, or switch reference attention off.")
        if self.bias_minimum > self.bias_maximum:
            raise ValueError(
                f"Weight at the ends is {self.bias_minimum:g}, more than the {self.bias_maximum:g} in the middle."
                " Make it smaller."
            )


@dataclass
class Weights:
    """Where the parts are, and what these weights make: sizes in pixels, lengths in frames.

    `lora`: a folder or safetensors file on this machine, see lora.py; `lora_rows` and `reference_mask` are what it was
    trained with, where the file does not say so itself. `merge_lora`: sums of weights and updates, made once a job;
    off saves their memory and costs time.
    """

    transformer: str = ""
    lora: str = ""
    vae: str = ""
    text_encoder: str = ""
    tokenizer: str = ""
    scheduler: str = ""
    height: int = 480
    width: int = 720
    frames: list[int] = field(default_factory=lambda: [49])
    fps: float = 8.0
    lora_rows: Literal["all", "reference"] = "all"
    reference_mask: Literal["cached", "joint"] = "cached"
    merge_lora: bool = True
    sampler: Literal["dpm", "ddim"] = "dpm"
    compute_dtype: Literal["", "bfloat16"] = ""  # "bfloat16": matrix products of a CPU run in bfloat16


def check(weights: Weights, request: CustomVideoXRequest) -> None:
    """What a request cannot know by itself: whether these weights can make it."""
    check_frames(request.num_frames, tuple(weights.frames))


def choices(weights: Weights) -> dict[str, tuple[int, ...]]:
    """The lengths these weights make."""
    return {"num_frames": tuple(weights.frames)}


def recipe(weights: Weights) -> Recipe:
    """The parts of a CustomVideoX pipeline. The LoRA is read by the pipeline: without it words alone still work."""
    transformer = "models.customvideox.transformer:CustomVideoXTransformer3DModel"
    parts = (
        Component("tokenizer", "transformers:AutoTokenizer", weights.tokenizer, ("encode",), "files"),
        Component("text_encoder", "transformers:T5EncoderModel", weights.text_encoder, ("encode",)),
        Component("scheduler", SAMPLERS[weights.sampler], weights.scheduler, ("denoise",), "files"),
        Component("transformer", transformer, weights.transformer),
        Component("vae", "diffusers:AutoencoderKLCogVideoX", weights.vae, ("encode", "decode")),
    )
    arguments = {
        "lora_source": weights.lora,
        "lora_rows": weights.lora_rows,
        "reference_mask": weights.reference_mask,
        "merge_lora": weights.merge_lora,
        "height": weights.height,
        "width": weights.width,
        "frames": tuple(weights.frames),
        "fps": weights.fps,
        "compute_dtype": weights.compute_dtype,
        "preview_source": weights.vae,
    }
    return Recipe("customvideox", "models.customvideox.pipeline:CustomVideoXPipeline", parts, arguments)


def inspector(weights: Weights) -> Recipe:
    """What shows the cut-out subject; it needs no weights."""
    arguments = {"height": weights.height, "width": weights.width}
    return Recipe("customvideox", "models.customvideox.inspector:SubjectInspector", (), arguments)
