"""Clips, captions and cut-outs in a folder -> latents and text states on disk, made once before training.

The folder holds `metadata.jsonl`, a line per clip: {"video": "clips/0.mp4", "caption": "...", "reference":
"cutouts/0.png"}, paths relative to the folder. The cut-out is a picture of the clip's subject on a plain or
transparent background, better from another moment than the clip's. The caption names the subject without
its looks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.common.cogvideox.prompts import encode_prompts
from models.common.pictures import read_picture
from models.customvideox.reference import place_subject, reference_latents

KEYS = ("video", "caption", "reference")
ENCODED, EMPTY = "encoded", "empty.safetensors"


@dataclass(frozen=True)
class Entry:
    """One line of `metadata.jsonl`, its paths made whole."""

    video: Path
    caption: str
    reference: Path


def read_entries(folder: Path) -> list[Entry]:
    """Every clip of a folder. ValueError names the line that cannot be used."""
    listing = folder / "metadata.jsonl"
    if not listing.is_file():
        raise ValueError(f"There is no {listing.name} in {folder}. Write a line per clip: {', '.join(KEYS)}.")
    entries = []
    for number, line in enumerate(listing.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            entry = Entry(folder / said["video"], said["caption"], folder / said["reference"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{listing.name}, line {number}: needs {', '.join(KEYS)} as JSON, got {line!r}."
            ) from error
        for path in (entry.video, entry.reference):
            if not path.is_file():
                raise ValueError(f"{listing.name}, line {number}: there is no file {path}.")
        entries.append(entry)
    if not entries:
        raise ValueError(f"{listing} lists no clips.")
    return entries


def read_clip(path: Path, num_frames: int, fps: float, height: int, width: int) -> UInt8[np.ndarray, "f h w 3"]:
    """The first `num_frames` frames at `fps`, scaled and cut to the size. ValueError if the video is too short."""
    import av

    frames: list[np.ndarray] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for frame in container.decode(stream):
            moment = float(frame.time or 0.0)
            while len(frames) < num_frames and moment + 1e-6 >= len(frames) / fps:
                frames.append(_filled(frame.to_image(), height, width))
            if len(frames) == num_frames:
                return np.stack(frames)
    raise ValueError(f"{path.name} has {len(frames)} frames at {fps:g} a second; training needs {num_frames}.")


def _filled(picture: Image.Image, height: int, width: int) -> np.ndarray:
    scale = max(height / picture.height, width / picture.width)
    size = (max(width, round(picture.width * scale)), max(height, round(picture.height * scale)))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    large = picture.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(large.crop((left, top, left + width, top + height)))


def varied_frames(
    picture: np.ndarray, height: int, width: int, count: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """The subject in `count` sizes and places, half of them mirrored: the first one as generation places it."""
    frames = [place_subject(picture, height, width)]
    while len(frames) < count:
        shown = np.ascontiguousarray(picture[:, ::-1]) if rng.random() < 0.5 else picture
        across, down = rng.uniform(-0.5, 0.5, 2)
        frames.append(place_subject(shown, height, width, float(rng.uniform(0.6, 1.0)), (float(across), float(down))))
    return frames


@torch.no_grad()
def encode_entries(
    entries: list[Entry], folder: Path, parts: Any, num_frames: int, fps: float, height: int, width: int, pictures: int
) -> Iterator[Path]:
    """Write one file per clip below `folder`: `latents`, `pictures`, `words`. What is there already stays.

    `parts` has `vae`, `tokenizer`, `text_encoder` and the network's `max_text_seq_length`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vae = parts.vae
    for index, entry in enumerate(entries):
        path = folder / f"{index:06d}.safetensors"
        if not path.exists():
            clip = torch.from_numpy(read_clip(entry.video, num_frames, fps, height, width))
            pixels = (clip.permute(3, 0, 1, 2)[None].float() / 127.5 - 1).to(vae.device, vae.dtype)
            latents = vae.encode(pixels).latent_dist.mean * vae.config.scaling_factor
            shown = varied_frames(read_picture(entry.reference), height, width, pictures, np.random.default_rng(index))
            _write(path, latents=latents.transpose(1, 2)[0],
                   pictures=torch.cat([reference_latents(vae, frame) for frame in shown])[:, 0],
                   words=_words(parts, entry.caption))  # fmt: skip
        yield path
    _write(folder / EMPTY, words=_words(parts, ""))


def _words(parts: Any, prompt: str) -> Tensor:
    return encode_prompts(parts.tokenizer, parts.text_encoder, [prompt], parts.max_text_seq_length)[0]


def _write(path: Path, **tensors: Tensor) -> None:
    partial = path.with_suffix(".partial")
    save_file({name: tensor.to(torch.bfloat16).contiguous().cpu() for name, tensor in tensors.items()}, partial)
    partial.rename(path)


class EncodedClips:
    """The files of a folder in random order, each time with another picture; words and pictures dropped at times."""

    def __init__(self, folder: Path, dropped: float, pictures_dropped: float, seed: int) -> None:
        self.paths = sorted(path for path in folder.glob("*.safetensors") if path.name != EMPTY)
        if not self.paths or not (folder / EMPTY).is_file():
            raise ValueError(f"There are no encoded clips in {folder}. Run the encode stage to its end first.")
        self.nothing = load_file(folder / EMPTY)["words"]
        self.dropped, self.pictures_dropped, self.rng = dropped, pictures_dropped, np.random.default_rng(seed)

    def draw(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Latents [1, frames, channels, h, w], words [1, tokens, dim], a picture [1, 1, channels, h, w] or None."""
        tensors = load_file(self.paths[self.rng.integers(len(self.paths))])
        words = self.nothing if self.rng.random() < self.dropped else tensors["words"]
        seen = tensors["pictures"][self.rng.integers(len(tensors["pictures"]))][None, None]
        return tensors["latents"][None], words[None], None if self.rng.random() < self.pictures_dropped else seen
