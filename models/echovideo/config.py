"""EchoVideo as data: its request, its weights, its recipe. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

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

SIZES = ("848x480", "640x480", "480x480", "480x640", "480x848", "64x64")  # the authors' five, and the pocket weights'
GUIDANCE = ("dynamic", "smooth", "constant")
SAMPLERS = {"dpm": "diffusers:CogVideoXDPMScheduler", "ddim": "diffusers:CogVideoXDDIMScheduler"}
FRONT_ENDS = {
    "insightface": (
        ("face_detector", "models.common.face_insightface:InsightFaceDetector", "files"),
        ("face_parser", "models.common.face_parsing:BiSeNet", "module"),
    ),
    "pocket": (("face_detector", "models.pocket.faces:PocketFaces", "module"),),  # parses as well
}


@dataclass
class EchoVideoRequest(Request):
    """What a person can ask of EchoVideo."""

    prompt: str = text("What the person does, and where.", label="Prompt", lines=4, required=True)
    face: Path | None = image(
        "A picture of one person, the face large and seen from the front.",
        label="Face", inspected=True, chooses="which_face", consent="I have the right to use this face.",
    )  # fmt: skip
    which_face: int = number(
        0, "0 takes the largest face; 1, 2, ... count from the left.", label="Which face", minimum=0, maximum=99
    )
    identity_fusion: bool = switch(
        True,
        "The paper's idea: who the person is enters the words. Off: only the picture in the first frame remains.",
        label="Identity fusion",
    )
    seed: int = number(
        42, "The same seed and settings give the same video.", label="Seed", minimum=0, maximum=2**32 - 1
    )
    size: str = choice("848x480", SIZES, "Width by height, in pixels.", label="Size")
    num_inference_steps: int = slider(50, 1, 100, "More steps, finer detail, longer wait.", label="Steps")
    guidance_scale: float = slider(
        6.0, 1.0, 15.0, "How closely to follow the words and the face.", step=0.1, label="Guidance"
    )
    guidance_schedule: str = choice(
        "dynamic", GUIDANCE,
        "dynamic is the authors' own curve, which jumps; smooth rises with the steps; constant does not change.",
        label="Guidance over the steps", advanced=True,
    )  # fmt: skip
    negative_prompt: str = text("What the video should not show.", label="Negative prompt", lines=2, advanced=True)
    num_frames: int = number(
        49, "Length in frames, as the weights allow.", label="Frames", minimum=1, maximum=1000, advanced=True
    )


@dataclass
class Weights:
    """Where the parts are, and what these weights make: sizes as "width x height" in pixels, lengths in frames.

    `faces` and `face_parser`: folders of the front end's models; `face_size`: the side of the aligned picture.
    """

    transformer: str = ""
    vision: str = ""
    vae: str = ""
    text_encoder: str = ""
    tokenizer: str = ""
    scheduler: str = ""
    faces: str = ""
    face_parser: str = ""
    face_front_end: Literal["insightface", "pocket"] = "insightface"
    face_size: int = 512
    sizes: list[str] = field(default_factory=lambda: list(SIZES[:5]))
    frames: list[int] = field(default_factory=lambda: [9, 17, 25, 33, 41, 49])
    fps: float = 16.0
    sampler: Literal["dpm", "ddim"] = "dpm"
    tiling: bool = True  # the VAE works on tiles, as the authors have it; they cannot be as small as pocket frames
    compute_dtype: Literal["", "bfloat16"] = ""  # "bfloat16": matrix products of a CPU run in bfloat16


def check(weights: Weights, request: EchoVideoRequest) -> None:
    """What a request cannot know by itself: whether these weights can make it."""
    if request.size not in weights.sizes:
        raise ValueError(f"Size must be one of {', '.join(weights.sizes)} with these weights, got {request.size}.")
    check_frames(request.num_frames, tuple(weights.frames))


def choices(weights: Weights) -> dict[str, tuple[Any, ...]]:
    """The sizes and lengths these weights make."""
    return {"size": tuple(weights.sizes), "num_frames": tuple(weights.frames)}


def recipe(weights: Weights) -> Recipe:
    """The parts of an EchoVideo pipeline."""
    transformer = "models.echovideo.transformer:EchoVideoTransformer3DModel"
    parts = (
        *_face_parts(weights),
        Component("tokenizer", "transformers:AutoTokenizer", weights.tokenizer, ("encode",), "files"),
        Component("text_encoder", "transformers:T5EncoderModel", weights.text_encoder, ("encode",)),
        Component("vision", "transformers:SiglipVisionModel", weights.vision, ("encode",)),
        Component("scheduler", SAMPLERS[weights.sampler], weights.scheduler, ("denoise",), "files"),
        Component("transformer", transformer, weights.transformer),
        Component("vae", "diffusers:AutoencoderKLCogVideoX", weights.vae, ("encode", "decode")),
    )
    arguments = {
        "face_size": weights.face_size,
        "fps": weights.fps,
        "compute_dtype": weights.compute_dtype,
        "tiling": weights.tiling,
        "preview_source": weights.vae,
    }
    return Recipe("echovideo", "models.echovideo.pipeline:EchoVideoPipeline", parts, arguments)


def inspector(weights: Weights) -> Recipe:
    """What shows the faces in a picture: the front end alone, none of the large parts."""
    arguments = {"face_size": weights.face_size}
    return Recipe("echovideo", "models.echovideo.inspector:FaceInspector", _face_parts(weights), arguments)


def _face_parts(weights: Weights) -> tuple[Component, ...]:
    sources = {"face_detector": weights.faces, "face_parser": weights.face_parser}
    return tuple(
        Component(name, builder, sources[name], ("encode",), kind, dtype="float32")
        for name, builder, kind in FRONT_ENDS[weights.face_front_end]
    )
