"""EchoVideo as data: its request, its weights, its recipe, the terms of its downloads. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from models.method import (
    Component,
    Conversion,
    Published,
    Recipe,
    Request,
    Terms,
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


def choices(weights: Weights) -> dict[str, tuple[str, ...]]:
    """The sizes these weights make."""
    return {"size": tuple(weights.sizes)}


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


ANTELOPE = "https://github.com/deepinsight/insightface/releases/download/v0.7/antelopev2.zip"
ANTELOPE_SUM = "8e182f14fc6e80b3bfa375b33eb6cff7ee05d8ef7633e738d1c89021dcf0c5c5"
BISENET = "https://github.com/xinntao/facexlib/releases/download/v0.2.0/parsing_bisenet.pth"
BISENET_SUM = "468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567"

CONVERSIONS = (
    Conversion(
        "weights/echovideo/vision",
        "models.echovideo.convert:convert_release",
        {
            "transformer": Published(
                "hub:bytedance-research/EchoVideo@main:transformer",
                ("config.json", "diffusion_pytorch_model-*.safetensors"),
            ),
            "siglip": Published(
                "hub:google/siglip-base-patch16-224@7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed",
                ("config.json", "model.safetensors"),
            ),
        },
    ),
    Conversion(
        "weights/echovideo/antelopev2",
        "models.common.face_insightface:unpack",
        {"archive": Published(f"{ANTELOPE}#sha256={ANTELOPE_SUM}")},
    ),
    Conversion(
        "weights/echovideo/face_parser",
        "models.common.face_parsing:convert",
        {"checkpoint": Published(f"{BISENET}#sha256={BISENET_SUM}")},
    ),
)

TERMS = (
    Terms(
        name="EchoVideo's transformer",
        url="https://huggingface.co/bytedance-research/EchoVideo",
        bytes=11_242_518_404,
        licence="CC BY-NC 4.0",
        licence_url="https://creativecommons.org/licenses/by-nc/4.0/",
        non_commercial=True,
        covers=("hub:bytedance-research/EchoVideo",),
    ),
    Terms(
        name="CogVideoX-5B's text encoder and VAE",
        url="https://huggingface.co/THUDM/CogVideoX-5b",
        bytes=9_960_000_000,
        licence="CogVideoX licence",
        licence_url="https://huggingface.co/THUDM/CogVideoX-5b/blob/main/LICENSE",
        condition="Commercial use needs a registration with its authors.",
        covers=("hub:THUDM/CogVideoX-5b",),
    ),
    Terms(
        name="SigLIP base, of which the vision tower is used",
        url="https://huggingface.co/google/siglip-base-patch16-224",
        bytes=813_000_000,
        licence="Apache-2.0",
        licence_url="https://www.apache.org/licenses/LICENSE-2.0",
        covers=("hub:google/siglip-base-patch16-224",),
    ),
    Terms(
        name="insightface's antelopev2, face detector and recogniser",
        url=ANTELOPE,
        bytes=360_662_982,
        licence="insightface model licence",
        licence_url="https://github.com/deepinsight/insightface#license",
        non_commercial=True,
        condition="For non-commercial research only.",
        covers=("https://github.com/deepinsight/insightface/",),
    ),
    Terms(
        name="facexlib's BiSeNet face parser",
        url=BISENET,
        bytes=53_289_463,
        licence="MIT",
        licence_url="https://github.com/xinntao/facexlib/blob/master/LICENSE",
        condition="Trained on CelebAMask-HQ, whose pictures are for non-commercial research.",
        covers=("https://github.com/xinntao/facexlib/",),
    ),
)
