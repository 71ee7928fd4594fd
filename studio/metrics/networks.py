"""Networks that metrics look through, each loaded once per worker. Nothing is ever downloaded here.

A network is used when its files are on disk: in `Facts.weights_dir`, in a folder named as the repository's last part,
or in the Hugging Face cache.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8

from studio.metrics.score import NotComparable

if TYPE_CHECKING:
    from models.common.faces import FaceDetector
    from models.pocket.judge import Judge

CLIP, DINO, FACES = "openai/clip-vit-base-patch32", "facebook/dino-vits16", "antelopev2"
CLIP_COLOURS = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_COLOURS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def folder_of(repository: str, weights_dir: Path | None) -> Path:
    """Where the files of a network are. NotComparable, with what to do, when they are not on this machine."""
    if weights_dir is not None and (weights_dir / repository.rpartition("/")[2]).is_dir():
        return weights_dir / repository.rpartition("/")[2]
    if "/" in repository:
        from huggingface_hub import try_to_load_from_cache

        if isinstance(config := try_to_load_from_cache(repository, "config.json"), str):
            return Path(config).parent
    raise NotComparable(f"The weights of {repository} are not on this machine.")


@functools.cache
def pocket_judge() -> Judge:
    """The world's own recogniser of shapes, colours and movements."""
    try:
        from models.pocket.judge import load_judge

        return load_judge()
    except (ImportError, OSError) as error:
        raise NotComparable(f"The world's judge cannot be loaded: {error}.") from error


@functools.cache
def pocket_faces() -> FaceDetector:
    """The world's own finder and recogniser of faces."""
    try:
        from models.pocket.faces import WEIGHTS, PocketFaces

        return PocketFaces.from_pretrained(WEIGHTS).eval()
    except (ImportError, OSError) as error:
        raise NotComparable("The world's face recogniser is not on this machine.") from error


def photo_faces(weights_dir: Path | None) -> FaceDetector:
    """The finder and recogniser of faces in photographs."""
    from models.common.face_insightface import InsightFaceDetector

    if importlib.util.find_spec("insightface") is None:
        raise NotComparable("Faces in photographs need the packages of requirements-faces.txt.")
    return InsightFaceDetector(folder_of(FACES, weights_dir))


def answer_chances(clips: UInt8[np.ndarray, "batch frames height width 3"]) -> dict[str, np.ndarray]:
    """Question -> chances of its answers [batch, answers], as the judge sees clips of the world."""
    import torch
    from torch.nn import functional as F

    judge, most = pocket_judge(), pocket_judge().time.shape[0]
    kept = np.unique(np.linspace(0, clips.shape[1] - 1, min(most, clips.shape[1])).round().astype(int))
    pixels = torch.from_numpy(clips[:, kept]).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    if pixels.shape[-2:] != (64, 64):
        flat = F.interpolate(pixels.flatten(0, 1), (64, 64), mode="bilinear", antialias=True)
        pixels = flat.unflatten(0, pixels.shape[:2])
    with torch.inference_mode():
        return {question: logits.softmax(-1).numpy() for question, logits in judge(pixels).items()}


def clip_pictures(pictures: UInt8[np.ndarray, "batch height width 3"], weights_dir: Path | None) -> np.ndarray:
    """Unit vectors [batch, dim] of CLIP."""
    import torch

    model = _clip(folder_of(CLIP, weights_dir))
    pixels = _square(pictures, model.config.vision_config.image_size, *CLIP_COLOURS)
    with torch.inference_mode():
        return _unit(model.get_image_features(pixels).pooler_output)


def clip_words(words: str, weights_dir: Path | None) -> np.ndarray:
    """Unit vector [dim] of CLIP; words beyond its length are cut, as its authors do."""
    import torch
    from transformers import CLIPTokenizer

    folder = folder_of(CLIP, weights_dir)
    model = _clip(folder)
    length = model.config.text_config.max_position_embeddings
    tokens = CLIPTokenizer.from_pretrained(folder)(words, truncation=True, max_length=length, return_tensors="pt")
    with torch.inference_mode():
        return _unit(model.get_text_features(tokens["input_ids"]).pooler_output)[0]


def dino_pictures(pictures: UInt8[np.ndarray, "batch height width 3"], weights_dir: Path | None) -> np.ndarray:
    """Unit vectors [batch, dim]: DINO's class token."""
    import torch

    model = _dino(folder_of(DINO, weights_dir))
    pixels = _square(pictures, model.config.image_size, *IMAGENET_COLOURS)
    with torch.inference_mode():
        return _unit(model(pixels).last_hidden_state[:, 0])


@functools.cache
def _clip(folder: Path) -> Any:
    from transformers import CLIPModel

    return CLIPModel.from_pretrained(folder, local_files_only=True).eval()


@functools.cache
def _dino(folder: Path) -> Any:
    from transformers import ViTModel

    return ViTModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False).eval()


def _square(pictures: np.ndarray, side: int, mean: tuple, deviation: tuple) -> Any:
    """[batch, 3, side, side]: the shorter side brought to `side`, the middle cut out, colours normalised."""
    import torch
    from torch.nn import functional as F

    pixels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
    height, width = pixels.shape[-2:]
    scale = side / min(height, width)
    size = (max(side, round(height * scale)), max(side, round(width * scale)))
    pixels = F.interpolate(pixels, size, mode="bicubic", antialias=True).clamp(0, 1)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    pixels = pixels[..., top : top + side, left : left + side]
    colours = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, deviation))
    return (pixels - next(colours)) / next(colours)


def _unit(features: Any) -> Float[np.ndarray, "batch dim"]:
    return (features / features.norm(dim=-1, keepdim=True)).float().numpy()
