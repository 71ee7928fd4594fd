"""RepVideo as data: its request, its weights, its recipe. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from models.method import Component, Recipe, Request, check_frames, choice, number, slider, switch, text

SAMPLERS = ("dpm", "ddim")
GUIDANCE = ("dynamic", "smooth", "constant")


@dataclass
class RepVideoRequest(Request):
    """What a person can ask of RepVideo."""

    prompt: str = text("What happens in the video.", label="Prompt", lines=4, required=True)
    feature_cache: bool = switch(
        True, "The paper's idea: layers see what their neighbours agree on. Off for comparison.", label="Feature cache"
    )
    seed: int = number(
        42, "The same seed and settings give the same video.", label="Seed", minimum=0, maximum=2**32 - 1
    )
    num_inference_steps: int = slider(50, 1, 100, "More steps, finer detail, longer wait.", label="Steps")
    guidance_scale: float = slider(6.0, 1.0, 15.0, "How closely to follow the prompt.", step=0.1, label="Guidance")
    sampler: str = choice(
        "dpm", SAMPLERS, "dpm adds fresh noise as the authors do; ddim adds none.", label="Sampler", advanced=True
    )
    guidance_schedule: str = choice(
        "dynamic", GUIDANCE,
        "dynamic is the authors' own curve, which jumps; smooth rises with the steps; constant does not change.",
        label="Guidance over the steps", advanced=True,
    )  # fmt: skip
    negative_prompt: str = text(
        "What the video should not show. Empty: what the weights were trained with.",
        label="Negative prompt", lines=2, advanced=True,
    )  # fmt: skip
    num_frames: int = number(
        49, "Length in frames, as the weights allow.", label="Frames", minimum=1, maximum=1000, advanced=True
    )


@dataclass
class Weights:
    """Where the parts are, and what these weights make. `frames`: the clip lengths they know; sizes in pixels."""

    transformer: str = ""
    vae: str = ""
    text_encoder: str = ""
    tokenizer: str = ""
    scheduler: str = ""
    transformer_off: str = ""  # trained as long without the cache; empty: the same network, cache off
    height: int = 480
    width: int = 720
    frames: list[int] = field(default_factory=lambda: [49])
    fps: float = 8.0
    unconditional: Literal["zeros", "empty_prompt"] = "zeros"  # what the network saw for "no text" in training
    compute_dtype: Literal["", "bfloat16"] = ""  # "bfloat16": matrix products of a CPU run in bfloat16


def check(weights: Weights, request: RepVideoRequest) -> None:
    """What a request cannot know by itself: whether these weights can make it."""
    check_frames(request.num_frames, tuple(weights.frames))


def choices(weights: Weights) -> dict[str, tuple[int, ...]]:
    """The lengths these weights make."""
    return {"num_frames": tuple(weights.frames)}


def recipe(weights: Weights) -> Recipe:
    """The parts of a RepVideo pipeline."""
    transformer = "models.repvideo.transformer:RepVideoTransformer3DModel"
    parts = [
        Component("tokenizer", "transformers:AutoTokenizer", weights.tokenizer, ("encode",), "files"),
        Component("text_encoder", "transformers:T5EncoderModel", weights.text_encoder, ("encode",)),
        Component("scheduler", "diffusers:CogVideoXDPMScheduler", weights.scheduler, ("denoise",), "files"),
        Component("transformer", transformer, weights.transformer),
        Component("vae", "diffusers:AutoencoderKLCogVideoX", weights.vae, ("decode",)),
    ]
    if weights.transformer_off:
        parts.append(Component("transformer_off", transformer, weights.transformer_off))
    arguments = {
        "height": weights.height,
        "width": weights.width,
        "frames": tuple(weights.frames),
        "fps": weights.fps,
        "unconditional": weights.unconditional,
        "compute_dtype": weights.compute_dtype,
        "preview_source": weights.vae,
    }
    return Recipe("repvideo", "models.repvideo.pipeline:RepVideoPipeline", tuple(parts), arguments)
