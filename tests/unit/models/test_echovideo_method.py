"""EchoVideo as the studio meets it: what can be asked, what its weights are, and a video from a picture file."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from transformers import SiglipVisionModel

from models.common.face_parsing import BiSeNet, convert
from models.common.faces import DetectedFace, scaled_template
from models.echovideo import METHOD, config
from models.echovideo.config import EchoVideoRequest, Weights
from models.echovideo.pipeline import EchoVideoPipeline, Settings
from models.echovideo.transformer import EchoVideoTransformer3DModel
from models.method import Step
from studio.registry import Registry
from tests.unit.models import cogvideox_parts as parts
from tests.unit.models.test_echovideo import CONFIG, IDENTITY_DIM, VISION

PRESETS = Path(__file__).parents[3] / "presets" / "echovideo"
SIDE = 32  # of the aligned picture here


@pytest.fixture
def picture(tmp_path) -> Path:
    """Two faces, told apart by their colour: red on the left, a larger blue one on the right."""
    pixels = np.full((48, 96, 3), 255, np.uint8)
    pixels[8:24, 8:24] = (200, 0, 0)
    pixels[8:40, 48:80] = (0, 0, 200)
    Image.fromarray(pixels).save(tmp_path / "two.png")
    return tmp_path / "two.png"


class TwoFaces:
    """Finds them; everything is skin."""

    def detect(self, image: np.ndarray) -> list[DetectedFace]:
        return [_at(48, 32, 2.0), _at(8, 16, 1.0)]

    def landmarks(self, image: np.ndarray) -> np.ndarray | None:
        return None

    def recognise(self, aligned: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing asked for it")

    def parse(self, normalised: np.ndarray) -> np.ndarray:
        return np.ones(normalised.shape[2:], np.int64)


def _at(left: int, size: int, name: float) -> DetectedFace:
    corner = np.array([left, 8], np.float32)
    return DetectedFace(
        np.concatenate([corner, corner + size]),
        corner + scaled_template(size),
        np.full(IDENTITY_DIM, name, np.float32),
    )


def network() -> EchoVideoTransformer3DModel:
    torch.manual_seed(0)
    return EchoVideoTransformer3DModel(**CONFIG).eval()


@pytest.fixture
def pipeline() -> EchoVideoPipeline:
    vision = SiglipVisionModel(VISION).eval()
    tools = (parts.text_encoder(), parts.tokenizer(), vision, parts.scheduler(snr_shift_scale=1.0), TwoFaces())
    return EchoVideoPipeline(network(), parts.vae(), *tools, face_size=SIDE, fps=8.0)


@pytest.fixture
def request_(picture, monkeypatch) -> EchoVideoRequest:
    monkeypatch.setattr(Settings, "of", classmethod(_small))
    return EchoVideoRequest("a red ball", picture, num_inference_steps=2, guidance_schedule="constant")


def _small(cls: Any, request: EchoVideoRequest) -> Settings:
    """The tiny network's size instead of the authors' sizes."""
    return Settings(
        24, 32, 9, request.num_inference_steps, request.guidance_scale, identity_fusion=request.identity_fusion
    )


def test_a_request_needs_words_and_a_face(picture):
    with pytest.raises(ValueError, match=r"Face is missing\. Add a picture"):
        EchoVideoRequest("a person walks")
    with pytest.raises(ValueError, match="Prompt is empty"):
        EchoVideoRequest("", picture)
    with pytest.raises(ValueError, match=r"there is no file at 'gone\.png'"):
        EchoVideoRequest("a person walks", Path("gone.png"))


@pytest.mark.parametrize(
    ("size", "height", "width"),
    [
        ("848x480", 480, 848),
        ("640x480", 480, 640),
        ("480x480", 480, 480),
        ("480x640", 640, 480),
        ("480x848", 848, 480),
    ],
)
def test_every_size_of_the_authors_can_be_asked_for(picture, size, height, width):
    request = EchoVideoRequest("a person walks", picture, size=size)
    config.check(Weights(), request)
    settings = Settings.of(request)
    assert (settings.height, settings.width) == (height, width)
    assert settings.guidance_schedule == "dynamic" and settings.num_frames == 49


def test_sizes_and_lengths_that_the_weights_do_not_make_are_refused_with_those_they_make(picture):
    request = EchoVideoRequest("a person walks", picture, size="64x64")
    with pytest.raises(ValueError, match=r"Size must be one of 848x480, .* with these weights, got 64x64"):
        config.check(Weights(), request)
    with pytest.raises(ValueError, match=r"Frames must be one of 9, .* Try 49"):
        config.check(Weights(), replace(request, size="480x480", num_frames=80))
    assert config.choices(Weights(sizes=["64x64"], frames=[20])) == {"size": ("64x64",), "num_frames": (20,)}


def test_only_the_face_models_are_loaded_to_show_a_face():
    pocket, full = Weights(face_front_end="pocket"), Weights()
    assert [part.name for part in config.inspector(pocket).components] == ["face_detector"]
    assert [part.name for part in config.inspector(full).components] == ["face_detector", "face_parser"]
    for weights in (pocket, full):
        recipe = config.recipe(weights)
        assert set(config.inspector(weights).components) < set(recipe.components)
        assert len({part.name for part in recipe.components}) == len(recipe.components)


def test_every_download_has_its_terms_and_the_restricted_ones_say_so():
    full = yaml.safe_load((PRESETS / "full.yaml").read_text(encoding="utf-8"))["weights"]
    places = [value for value in full.values() if str(value).startswith("hub:")]
    places += [published.source for made in METHOD.conversions for published in made.sources.values()]
    assert len(places) >= 7
    for place in places:
        (terms,) = [terms for terms in METHOD.terms if any(place.startswith(start) for start in terms.covers)]
        assert terms.bytes > 1_000_000 and terms.licence and terms.licence_url.startswith("https://")
    restricted = " ".join(terms.name for terms in METHOD.terms if terms.non_commercial)
    assert "EchoVideo" in restricted and "antelopev2" in restricted
    made = {conversion.folder for conversion in METHOD.conversions}
    assert {value for value in full.values() if str(value).startswith("weights/")} == made


def test_a_picture_file_becomes_a_video_of_the_largest_face(pipeline, request_):
    steps: list[Step] = []
    (clip,) = pipeline(request_, steps.append)
    assert clip.frames.shape == (9, 24, 32, 3) and clip.fps == 8
    assert [step.index for step in steps] == [1, 2]
    (chosen,) = pipeline(replace(request_, which_face=2), steps.append)
    (other,) = pipeline(replace(request_, which_face=1), steps.append)
    assert np.array_equal(clip.frames, chosen.frames)
    assert not np.array_equal(clip.frames, other.frames)


def test_with_fusion_off_only_the_first_frame_knows_the_face(pipeline, request_):
    fused: list[Any] = []
    fuse = pipeline.transformer.fuse_text
    pipeline.transformer.fuse_text = lambda *inputs: fused.append(fuse(*inputs)) or fused[-1]
    for which in (1, 2):
        for identity_fusion in (True, False):
            pipeline(replace(request_, which_face=which, identity_fusion=identity_fusion), lambda step: None)
    on_first, off_first, on_second, off_second = fused
    assert torch.equal(off_first, off_second)
    assert not torch.equal(on_first, on_second) and not torch.equal(on_first, off_first)


def test_the_recipe_of_the_authors_layout_loads_and_makes_a_video(tmp_path, request_, monkeypatch):
    folders = save_parts(tmp_path / "weights")
    monkeypatch.setattr("models.common.face_insightface.InsightFaceDetector._analysis", fake_analysis())
    weights = Weights(**folders, face_size=SIDE, fps=8.0)  # pyright: ignore[reportArgumentType]
    registry = Registry("cpu", cache_dir=tmp_path / "cache")
    with registry.acquire(config.recipe(weights)) as pipeline:
        (clip,) = pipeline(request_, lambda step: None)
    assert clip.frames.shape == (9, 24, 32, 3)
    with registry.acquire(config.inspector(weights)) as inspector:
        sights: Any = inspector("face", request_.face)  # pyright: ignore[reportArgumentType]
    assert [(sight.label, sight.choice, sight.first) for sight in sights] == [
        ("Face 1", 1, False),
        ("Face 2", 2, True),
    ]
    assert all(sight.picture.shape == (SIDE, SIDE, 3) for sight in sights)


def save_parts(root: Path) -> dict[str, str]:
    """A tiny checkpoint in the released layout, transformer in shards."""
    network().save_pretrained(root / "transformer", max_shard_size="20KB")
    parts.vae().save_pretrained(root / "vae")
    parts.text_encoder().save_pretrained(root / "text_encoder")
    parts.tokenizer().save_pretrained(root / "tokenizer")
    parts.scheduler(snr_shift_scale=1.0).save_pretrained(root / "scheduler")
    SiglipVisionModel(VISION).save_pretrained(root / "vision")
    torch.save(BiSeNet(width=4).state_dict(), root / "parsing_bisenet.pth")
    convert(root / "parsing_bisenet.pth", root / "face_parser")
    (root / "faces").mkdir()
    (root / "faces" / "scrfd.onnx").touch()
    names = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler", "vision", "face_parser", "faces")
    return {name: str(root / name) for name in names}


def fake_analysis() -> SimpleNamespace:
    """insightface's answer for the two faces."""
    faces = [
        SimpleNamespace(bbox=f.box, kps=f.landmarks, embedding=f.identity) for f in TwoFaces().detect(np.empty(0))
    ]
    return SimpleNamespace(get=lambda image: faces)


def test_the_pocket_front_end_needs_nothing_that_only_training_needs():
    """numba draws the world and is not among the studio's requirements."""
    code = "import sys; sys.modules['numba'] = None; import models.pocket.faces, models.echovideo.pipeline"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PRESETS.parents[1])
