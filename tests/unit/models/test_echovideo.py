"""EchoVideo's network and pipeline with tiny parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXTransformer3DModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import SiglipVisionConfig, SiglipVisionModel

from models.common.conversion import ConversionError
from models.common.faces import Face
from models.echovideo import convert
from models.echovideo.pipeline import EchoVideoPipeline, Settings
from models.echovideo.reference import face_tokens, identity_rows
from models.echovideo.transformer import EchoVideoTransformer3DModel
from models.method import Step, StopRequested
from tests.unit.models import cogvideox_parts as parts

FACE_DIM, FACE_TOKENS, IDENTITY_DIM = 16, 4, 12
CONFIG = parts.SMALL | {
    "in_channels": 2 * parts.CHANNELS,
    "num_layers": 2,
    "use_rotary_positional_embeddings": True,
    "face_embed_dim": FACE_DIM,
    "face_seq_length": FACE_TOKENS,
    "face_features_embed_dim": IDENTITY_DIM,
    "face_features_seq_length": 9,
    "resampler_dim": 16,
    "resampler_depth": 2,
    "resampler_dim_head": 8,
    "resampler_heads": 2,
    "resampler_queries": 3,
}
VISION = SiglipVisionConfig(
    hidden_size=FACE_DIM,
    intermediate_size=24,
    num_hidden_layers=1,
    num_attention_heads=2,
    image_size=32,
    patch_size=16,
)
SETTINGS = Settings(height=24, width=32, num_frames=9, num_inference_steps=2)


@pytest.fixture
def pipeline() -> EchoVideoPipeline:
    torch.manual_seed(0)
    network = EchoVideoTransformer3DModel(**CONFIG).eval()
    vision = SiglipVisionModel(VISION).eval()
    tools = (parts.text_encoder(), parts.tokenizer(), vision, parts.scheduler(snr_shift_scale=1.0))
    return EchoVideoPipeline(network, parts.vae(), *tools)


@pytest.fixture
def face() -> Face:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    return Face(picture, random.standard_normal(IDENTITY_DIM).astype(np.float32))


def run(pipeline: EchoVideoPipeline, face: Face, seed: int = 0, settings: Settings = SETTINGS, on_step: Any = None):
    return pipeline.generate("a red ball", face, settings, seed, on_step or (lambda step: None))


def test_a_face_and_words_become_frames(pipeline, face):
    steps: list[Step] = []
    frames = run(pipeline, face, on_step=steps.append)
    assert frames.shape == (9, 24, 32, 3)
    assert [step.index for step in steps] == [1, 2]
    assert steps[0].preview.shape == (3, 6, 8, 3)
    assert np.array_equal(frames, run(pipeline, face))
    assert not np.array_equal(frames, run(pipeline, face, seed=1))


def test_words_and_face_are_fused_once_per_video(pipeline, face):
    calls: list[object] = []
    pipeline.transformer.text_proj.register_forward_hook(lambda *a: calls.append(a))
    run(pipeline, face, settings=Settings(24, 32, 9, num_inference_steps=5))
    assert len(calls) == 1


def test_image_latents_are_the_same_in_both_branches_and_only_in_the_first_frame(pipeline, face):
    seen: list[Tensor] = []
    pipeline.transformer.register_forward_pre_hook(lambda m, a, kw: seen.append(kw["hidden_states"]), with_kwargs=True)
    run(pipeline, face)
    image = seen[0][:, :, parts.CHANNELS :]
    assert torch.equal(image[0], image[1])
    assert image[0, 0].any()
    assert not image[:, 1:].any()


def test_nobody_is_a_black_picture_and_a_zero_vector(pipeline, face):
    tokens = face_tokens(pipeline.vision, face.picture)
    assert tokens.shape == (2, FACE_TOKENS, FACE_DIM)
    torch.testing.assert_close(tokens[0], face_tokens(pipeline.vision, np.zeros_like(face.picture))[1])
    assert tokens[0].abs().sum() > 0
    rows = identity_rows(torch.ones(1, IDENTITY_DIM), 9)
    assert rows.shape == (2, 9, IDENTITY_DIM)
    assert not rows[0].any()
    assert rows[1].all()


@torch.no_grad()
def test_the_number_of_equal_identity_rows_matters(pipeline):
    resampler = pipeline.transformer.face_prj_wofc
    vector = torch.randn(1, 1, IDENTITY_DIM)
    assert not torch.allclose(resampler(vector), resampler(vector.expand(-1, 9, -1)), atol=1e-4)


@torch.no_grad()
def test_fusion_off_is_the_face_of_nobody(pipeline, face):
    words = pipeline.encode_prompt("a red ball")
    off = pipeline.encode_reference(words, face, identity_fusion=False)
    other = Face(255 - face.picture, -face.identity)
    assert torch.equal(off, pipeline.encode_reference(words, other, identity_fusion=False))
    assert not torch.allclose(off[1], pipeline.encode_reference(words, face)[1])


@torch.no_grad()
def test_the_network_is_cogvideox_on_the_fused_words(pipeline):
    fields = set(CogVideoXTransformer3DModel.load_config.__self__._get_init_keys(CogVideoXTransformer3DModel))
    plain = CogVideoXTransformer3DModel(**{k: v for k, v in CONFIG.items() if k in fields}).eval()
    state = pipeline.transformer.state_dict()
    plain.load_state_dict({name: state[name] for name in plain.state_dict()})
    text = torch.randn(1, parts.TEXT_TOKENS, parts.TEXT_DIM)
    x, t = torch.randn(1, 3, 2 * parts.CHANNELS, 6, 8), torch.tensor([500])
    torch.testing.assert_close(pipeline.transformer(x, text, t).sample, plain(x, text, t).sample)


def test_stop_passes_through(pipeline, face):
    def stop(step: Step) -> None:
        raise StopRequested

    with pytest.raises(StopRequested):
        run(pipeline, face, on_step=stop)


def test_the_vision_tower_is_cut_out_of_siglip(tmp_path, capsys):
    torch.manual_seed(0)
    tower = SiglipVisionModel(VISION)
    whole = {f"vision_model.{name}": tensor for name, tensor in tower.state_dict().items()}
    whole |= {"text_model.embeddings.x": torch.zeros(1), "logit_scale": torch.zeros(1)}
    VISION.save_pretrained(tmp_path)
    save_file(whole, tmp_path / "model.safetensors")
    convert.main(["vision", str(tmp_path), str(tmp_path / "out")])
    assert "2 of the text tower left out" in capsys.readouterr().out
    loaded = SiglipVisionModel.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(loaded.state_dict(), tower.state_dict(), rtol=0, atol=0)


def test_the_released_transformer_is_checked_name_by_name():
    with torch.device("meta"):
        tensors = EchoVideoTransformer3DModel(**CONFIG).state_dict()
    assert len(convert.transformer_sources(tensors, CONFIG).sources) == len(tensors)
    tensors["face_proj.gate"] = tensors.pop("face_proj.bias")
    with pytest.raises(ConversionError, match=r"1 missing:\n  face_proj.bias\n1 unexpected:\n  face_proj.gate"):
        convert.transformer_sources(tensors, CONFIG)
