"""A clip as the metrics see it: grey pictures and optical flow computed once, and the facts of its job."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from models.method import Clip
from studio.metrics.score import NotComparable

SMALL, LARGE = 128, 256  # the shorter side on which flow is computed: small clips are enlarged, large ones shrunk


@dataclass(frozen=True)
class Facts:
    """What is known of the job that made the clips; None and "" where nothing is.

    `camera_to_world` are the poses that were asked for (OpenCV axes), `intrinsics` fx, fy, cx, cy in pixels of the
    clip. `world` says that the clips show the pocket world, which its own recognisers can read.
    """

    prompt: str = ""
    face: Path | None = None
    which_face: int = 0  # from the left, counted from 1; 0 takes the largest
    subject: Path | None = None
    subject_mask: Path | None = None
    camera_to_world: Float[np.ndarray, "views frames 4 4"] | None = None
    intrinsics: Float[np.ndarray, "views frames 4"] | None = None
    seconds: float | int | None = None
    peak_memory_mb: float | int | None = None
    world: bool = False
    weights_dir: Path | None = None  # further folder to look in for CLIP, DINO and face models


@dataclass(eq=False)
class Take:
    """One of the clips of a job; `views` are all of them, this one included."""

    clip: Clip
    facts: Facts = field(default_factory=Facts)
    views: tuple[Take, ...] = ()

    @property
    def index(self) -> int:
        return next(index for index, view in enumerate(self.views) if view is self)

    @property
    def frames(self) -> UInt8[np.ndarray, "frames height width 3"]:
        return self.clip.frames

    @property
    def flow(self) -> Float[np.ndarray, "pairs height width 2"]:
        """(x, y) from each frame to the one before it, in pixels of `grey`. NotComparable for a single frame."""
        if len(self.clip.frames) < 2:
            raise NotComparable("A single frame does not move.")
        return self._flow

    @property
    def percent_per_second(self) -> float:
        """What one pixel of `grey` per frame is in percent of the picture's height per second."""
        return 100 * float(self.clip.fps) / self.grey.shape[1]

    @cached_property
    def grey(self) -> UInt8[np.ndarray, "frames height width"]:
        """Brightness, enlarged or shrunk to the size on which flow is computed."""
        import cv2

        height, width = self.clip.frames.shape[1:3]
        shorter = min(height, width)
        scale = (SMALL if shorter <= SMALL else min(LARGE, shorter)) / shorter
        size = (round(width * scale), round(height * scale))
        way = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
        pictures = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in self.clip.frames)
        return np.stack([cv2.resize(picture, size, interpolation=way) for picture in pictures])

    @cached_property
    def _flow(self) -> Float[np.ndarray, "pairs height width 2"]:
        return np.stack([optical_flow(now, before) for before, now in zip(self.grey[:-1], self.grey[1:], strict=True)])


def takes(clips: list[Clip], facts: Facts) -> tuple[Take, ...]:
    """The clips of one job, each knowing the others."""
    made = tuple(Take(clip, facts) for clip in clips)
    for take in made:
        take.views = made
    return made


def optical_flow(
    image: UInt8[np.ndarray, "height width"], target: UInt8[np.ndarray, "height width"]
) -> Float[np.ndarray, "height width 2"]:
    """Where each pixel of `image` lies in `target`: displacement (x, y) in pixels. Identical pictures give 0."""
    import cv2

    if np.array_equal(image, target):
        return np.zeros((*image.shape, 2), np.float32)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(image, target, np.zeros((*image.shape, 2), np.float32)), np.float32)


def sample(picture: np.ndarray, flow: Float[np.ndarray, "height width 2"]) -> np.ndarray:
    """`picture` read at each pixel's place plus `flow`, edges continued."""
    import cv2

    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(picture, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
