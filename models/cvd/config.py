"""CVD as data: the request, the weights, the recipe. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from models.common.animatediff.sizes import Config, check_length, check_size, saved_config
from models.common.cameras import FANS, PATHS, VIEW_LAYOUTS
from models.method import Camera, Component, Recipe, Request, camera_path, number, slider, switch, text

MAX_VIEWS = 6


@dataclass
class CvdRequest(Request):
    """What a person can ask of CVD."""

    prompt: str = text("One scene; every view shows it.", required=True)
    cameras: str = camera_path(
        "circle",
        "One pattern for all views, or a path for each.",
        label="Camera paths", choices=(*VIEW_LAYOUTS, *FANS, "still"), each=tuple(PATHS), views="num_views",
    )  # fmt: skip
    num_views: int = slider(2, 1, MAX_VIEWS, "Videos of the same scene; time grows with their number.", label="Views")
    strength: float = slider(1.0, 0.2, 2.0, "How far the named paths go.", step=0.1, label="Camera movement")
    num_inference_steps: int = slider(25, 1, 100, "More steps, finer detail, longer wait.", label="Steps")
    guidance_scale: float = slider(8.5, 1.0, 30.0, "How closely to follow the prompt.", step=0.5, label="Guidance")
    seed: int = number(
        42, "The same seed and settings give the same videos.", minimum=0, maximum=2**32 - 1, label="Seed"
    )
    synchronized: bool = switch(True, "Off: every view on its own, as CameraCtrl.", label="Synchronisation")
    negative_prompt: str = text("What to keep out.", required=False, advanced=True, label="Negative prompt")
    repeats: int = slider(
        0, 0, 8, "Times each step is repeated with new noise; 0: as the authors for this number of views.",
        label="Repeats", advanced=True,
    )  # fmt: skip
    rounds: int = slider(
        0, 0, 8, "Random pairings averaged in each step; 0: as the authors for this number of views.",
        label="Pairings", advanced=True,
    )  # fmt: skip
    num_frames: int = slider(16, 4, 32, "Frames of each video.", label="Frames", advanced=True)
    height: int = slider(256, 32, 512, "Pixels.", step=32, label="Height", advanced=True)
    width: int = slider(256, 32, 512, "Pixels.", step=32, label="Width", advanced=True)
    fps: int = slider(8, 1, 30, "Frames per second.", label="Frames per second", advanced=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        from models.cvd.cameras import view_cameras

        view_cameras(self.cameras, self.num_views, self.num_frames, self.height, self.width, strength=self.strength)


def request_cameras(request: CvdRequest) -> tuple[tuple[Camera, ...], ...]:
    """The camera of every view and frame. Named paths are given with CVD's own lens; weights may bring another."""
    from models.cvd.cameras import view_cameras

    made = view_cameras(
        request.cameras, request.num_views, request.num_frames, request.height, request.width,
        strength=request.strength,
    )  # fmt: skip
    return made.described(request.height, request.width)


@dataclass(frozen=True)
class CvdWeights:
    """Folders in diffusers layout. `unet` and `pose_encoder` come from `python -m models.cvd.convert`.

    With `base`, the network it was made from, `unet` holds only what differs: its motion modules, the camera merges
    and the cross-view modules.
    """

    unet: str
    pose_encoder: str
    vae: str
    text_encoder: str
    tokenizer: str
    scheduler: str
    base: str = ""


def check(weights: CvdWeights, request: CvdRequest) -> None:
    """ValueError for what these weights cannot make, as far as it is known before they are loaded."""
    unet, vae, poses = map(saved_config, (weights.unet, weights.vae, weights.pose_encoder))
    if unet and vae and poses:
        check_networks(request, unet, vae, poses)


def check_networks(request: CvdRequest, unet: Config, vae: Config, pose_encoder: Config) -> None:
    """ValueError for a size or a length that these networks do not make."""
    check_size(unet, vae, request.height, request.width)
    check_length(request.num_frames, pose_encoder.get("max_frames"), unet.get("motion_max_seq_length"))


def recipe(weights: CvdWeights) -> Recipe:
    """The components of CVD."""
    return Recipe(
        method="cvd",
        pipeline="models.cvd.pipeline:CvdPipeline",
        components=(
            Component("tokenizer", "transformers:CLIPTokenizer", weights.tokenizer, ("encode",), "files"),
            Component("text_encoder", "transformers:CLIPTextModel", weights.text_encoder, ("encode",)),
            Component("pose_encoder", "models.cvd.pose_encoder:CameraPoseEncoder", weights.pose_encoder, ("encode",)),
            Component("unet", "models.cvd.unet:CollaborativeUNet", weights.unet, base=weights.base),
            Component("scheduler", "diffusers:DDIMScheduler", weights.scheduler, ("denoise",), "files"),
            Component("vae", "diffusers:AutoencoderKL", weights.vae, ("denoise", "decode")),  # previews
        ),
    )
