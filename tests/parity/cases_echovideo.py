"""EchoVideo: network, identity fusion, full pipelines and face helpers against the authors' code."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXDPMScheduler
from torch import Tensor
from transformers import SiglipVisionConfig, SiglipVisionModel, T5Config, T5EncoderModel, T5Tokenizer

from models.common import faces
from models.common.cogvideox.guidance import guidance_weights
from models.common.cogvideox.latents import decode_latents, to_uint8
from models.common.cogvideox.rotary import fit_region, rotary_for
from models.common.conversion import pick
from models.echovideo import reference
from models.echovideo.convert import transformer_sources, vision_sources
from models.echovideo.pipeline import EchoVideoPipeline, Settings
from models.echovideo.transformer import EchoVideoTransformer3DModel
from tests.parity.case import Case, Errors, Measure, level_error, read_json, read_tensors, relative_error
from tests.parity.cases_repvideo import procedural_tensor

RESAMPLER = {
    "dim": "resampler_dim",
    "depth": "resampler_depth",
    "dim_head": "resampler_dim_head",
    "heads": "resampler_heads",
    "num_queries": "resampler_queries",
    "ff_mult": "resampler_ff_mult",
    "embedding_dim": "face_features_embed_dim",
    "output_dim": "face_embed_dim",
}
WARP_SHARE = 0.2  # of values one level off: what cv2's warp differs by from version 4.10 to 5.0
NOISE = "diffusers.schedulers.scheduling_dpm_cogvideox.randn_tensor"


def _config(goldens: Path) -> dict[str, Any]:
    return read_json(goldens / "echovideo/config.json")


def load_network(goldens: Path) -> Any:
    folder = goldens / "echovideo/components"
    resampler = {RESAMPLER[name]: value for name, value in _config(goldens)["tiny"]["resampler"].items()}
    network: Any = EchoVideoTransformer3DModel.from_config(read_json(folder / "transformer_config.json") | resampler)
    network.load_state_dict(read_tensors(folder / "transformer.safetensors"))
    return network.eval()


def load_pipeline(goldens: Path, scheduler: Any, tiling: bool = False) -> EchoVideoPipeline:
    """Every part of the goldens' pipeline through our loading."""
    folder = goldens / "echovideo/components"
    vae: Any = AutoencoderKLCogVideoX.from_config(read_json(folder / "vae_config.json"))
    vae.load_state_dict(read_tensors(folder / "vae.safetensors"))
    text_encoder = T5EncoderModel(T5Config(**read_json(folder / "text_encoder_config.json")))
    words = read_tensors(folder / "text_encoder.safetensors")
    words["encoder.embed_tokens.weight"] = words["shared.weight"]
    text_encoder.load_state_dict({name: words[name] for name in text_encoder.state_dict()})
    siglip = SiglipVisionConfig(**read_json(folder / "siglip_vision_config.json"))
    vision, tower = SiglipVisionModel(siglip), read_tensors(folder / "siglip.safetensors")
    vision.load_state_dict({n: pick(tower, s) for n, s in vision_sources(tower, siglip).sources.items()})
    tokenizer = T5Tokenizer.from_pretrained(folder / "tokenizer")
    network = load_network(goldens)
    return EchoVideoPipeline(
        network, vae.eval(), text_encoder.eval(), tokenizer, vision.eval(), scheduler, tiling=tiling
    )


def _forward(network: Any, golden: dict[str, Tensor]) -> Errors:
    captured: dict[str, Tensor] = {}

    def record(name: str, transpose: bool = False):
        def hook(module: object, inputs: object, output: Tensor) -> None:
            captured[name] = output.transpose(1, 2) if transpose else output

        return hook

    handles = [
        network.face_prj_wofc.register_forward_hook(record("id_tokens")),
        network.face_info_proj.register_forward_hook(record("face_tokens", transpose=True)),
        network.face_proj.register_forward_hook(record("face_tokens_proj")),
    ]
    rows = network.config.face_features_seq_length
    identity = golden["encoder_face_feats_hidden_states"].expand(-1, rows, -1)
    face = golden["encoder_face_hidden_states"]
    captured["fused_text"] = network.fuse_text(golden["encoder_hidden_states"], face, identity)
    for handle in handles:
        handle.remove()
    x = golden["hidden_states"]
    rotary = rotary_for(network.config, x.shape[1], x.shape[3], x.shape[4])
    assert rotary is not None
    captured["rope_cos"], captured["rope_sin"] = rotary
    for name in golden:
        kind, _, case = name.partition(".")
        if kind == "y":
            captured[name] = network(
                x, captured["fused_text"], golden[f"timestep.{case}"], image_rotary_emb=rotary, return_dict=False
            )[0]
    return {name: relative_error(tensor, golden[name]) for name, tensor in captured.items() if name in golden}


def forward(goldens: Path) -> Errors:
    return _forward(load_network(goldens), read_tensors(goldens / "echovideo/forward.safetensors"))


def forward_hardcoded(goldens: Path) -> Errors:
    """The face stage in its released sizes, which our defaults must be; weights made from their names."""
    config = _config(goldens)
    network: Any = EchoVideoTransformer3DModel.from_config(config["hardcoded_model_config"])
    network.eval()
    state = network.state_dict()
    shapes = {name: list(tensor.shape) for name, tensor in state.items()}
    wrong = [n for n, s in config["hardcoded_weight_shapes"].items() if shapes.get(n) != s]
    extra = shapes.keys() - config["hardcoded_weight_shapes"].keys()
    tag = config["hardcoded_weight_tag"]
    network.load_state_dict({name: procedural_tensor(name, shape, tag) for name, shape in shapes.items()})
    errors = dict(_forward(network, read_tensors(goldens / "echovideo/forward_hardcoded.safetensors")))
    return errors | {"names and shapes": float(len(wrong) + len(extra))}


def _pipeline(goldens: Path, run: str, scheduler: type, schedule: str, tiling: bool = False) -> Errors:
    """A recorded run: every stage is computed here from the picture, the prompt and the recorded noises."""
    config = _config(goldens)
    tiny = config["tiny"]
    recorded = read_tensors(goldens / f"echovideo/{run}.safetensors")
    golden = read_tensors(goldens / "echovideo/pipe_dpm_dyn.safetensors") | recorded
    pipeline = load_pipeline(goldens, scheduler(**config["scheduler"]), tiling)
    settings = Settings(
        tiny["height"], tiny["width"], tiny["num_frames"], tiny["steps"], tiny["guidance"], guidance_schedule=schedule
    )
    face = faces.Face(golden["image_uint8"].numpy(), golden["id_embed_fp16"][0].float().numpy())
    actual: dict[str, Tensor] = {}

    length = pipeline.transformer.config.max_text_seq_length
    for name, prompt in (("input_ids", tiny["prompt"]), ("input_ids_negative", "")):
        tokens = pipeline.tokenizer(prompt, padding="max_length", max_length=length, truncation=True)
        actual[name] = torch.tensor([tokens.input_ids])
    words = pipeline.encode_prompt(tiny["prompt"])
    actual["negative_prompt_embeds"], actual["prompt_embeds"] = words.chunk(2)
    tokens = reference.face_tokens(pipeline.vision, face.picture)
    actual["siglip_hidden_negative"], actual["siglip_hidden"] = tokens.chunk(2)
    fused = pipeline.encode_reference(words, face)

    frame = reference.first_frame(face.picture, settings.height, settings.width)
    actual["vae_input"] = frame
    actual["padded_image_uint8"] = torch.from_numpy(
        faces.pad_to_aspect(face.picture, settings.width / settings.height)
    )
    actual["vae_posterior_parameters"] = pipeline.vae.encode(frame).latent_dist.parameters
    latents = golden["init_latents"]
    image = reference.image_latents(pipeline.vae, frame, latents.shape[1], golden["vae_sample_noise"])
    actual["image_latents"] = image

    outputs: list[Tensor] = []
    trail: list[Tensor] = []
    pipeline.transformer.register_forward_hook(lambda m, i, output: outputs.append(output[0]))
    keep = pipeline.preview
    pipeline.preview = SimpleNamespace(frames=lambda x: None)  # pyright: ignore[reportAttributeAccessIssue]
    draws = iter(golden["scheduler_noise_draws"])
    step = scheduler.step

    def record(*arguments: Any, **keywords: Any) -> Any:
        output = step(*arguments, **keywords)
        trail.append(output[0] if isinstance(output, tuple) else output.prev_sample)
        return output

    with patch(NOISE, lambda *a, **k: next(draws)[None]), patch.object(scheduler, "step", record):
        latents = pipeline.denoise(latents, image, fused, settings, None, lambda step: None)
    pipeline.preview = keep
    actual["transformer_output"] = torch.stack(outputs)
    actual["latents_after_step"] = torch.cat(trail)
    actual["latents"] = latents
    used = scheduler(**config["scheduler"])
    used.set_timesteps(settings.num_inference_steps)
    actual["timesteps"] = used.timesteps
    weights = guidance_weights(schedule, settings.guidance_scale, used.timesteps.tolist())
    actual["guidance_scale"] = torch.tensor(weights, dtype=torch.float64)
    video = decode_latents(pipeline.vae, latents)
    actual["video_np"] = (video / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 4, 1)

    errors: dict[str, float | Measure] = {
        n: relative_error(t, recorded[n]) for n, t in actual.items() if n in recorded
    }
    if "video_uint8" in recorded:
        errors["video_uint8"] = level_error(torch.from_numpy(to_uint8(video, "round")[0]), recorded["video_uint8"])
    return errors


def pipe_dpm_dyn(goldens: Path) -> Errors:
    return _pipeline(goldens, "pipe_dpm_dyn", CogVideoXDPMScheduler, "dynamic")


def pipe_ddim_static(goldens: Path) -> Errors:
    return _pipeline(goldens, "pipe_ddim_static", CogVideoXDDIMScheduler, "constant")


def pipe_dpm_dyn_tiled(goldens: Path) -> Errors:
    return _pipeline(goldens, "pipe_dpm_dyn_tiled", CogVideoXDPMScheduler, "dynamic", tiling=True)


def rotary(goldens: Path) -> Errors:
    """The table at several sizes, as the diffusers version that EchoVideo pins computed it."""
    golden = read_tensors(goldens / "echovideo/face_utils.safetensors")
    regions = [list(fit_region(rows, columns, 30, 45)) for rows, columns in golden["grid_src_hw"].tolist()]
    errors = {"regions": relative_error(torch.tensor(regions), golden["grid_crop_t_l_b_r"])}
    slices = {"t": (slice(None), 0, 0), "h": (5, slice(None), 3), "w": (2, 4, slice(None))}
    for name, expected in golden.items():
        if not name.startswith("rope_"):
            continue
        size, _, which = name.removeprefix("rope_").partition(".")
        rows, columns = map(int, size.split("x"))
        function, _, axis = which.partition("_")
        frames = len(golden[f"rope_{size}.cos_t"])
        config = SimpleNamespace(
            use_rotary_positional_embeddings=True, patch_size=2, patch_size_t=None,
            attention_head_dim=expected.shape[-1], sample_height=60, sample_width=90,
        )  # fmt: skip
        table = rotary_for(config, frames, rows * 2, columns * 2)
        assert table is not None
        values = table[function == "sin"].reshape(frames, rows, columns, -1)[slices[axis]]
        errors[name] = relative_error(values, expected)
    return errors


class RecordedDetector:
    """Answers with the goldens' faces."""

    def __init__(self, found: list[faces.DetectedFace], landmarks: Any, identity: Any) -> None:
        self.found, self.fallback, self.identity = found, landmarks, identity

    def detect(self, image: np.ndarray) -> list[faces.DetectedFace]:
        return self.found

    def landmarks(self, image: np.ndarray) -> np.ndarray | None:
        return self.fallback

    def recognise(self, aligned: np.ndarray) -> np.ndarray:
        return self.identity


def face_helpers(goldens: Path) -> Errors:
    """Alignment, padding, resizing, and the whole way from a photograph to the masked crop."""
    golden = {n: t.numpy() for n, t in read_tensors(goldens / "echovideo/face_utils.safetensors").items()}
    errors: dict[str, float | Measure] = {}

    def picture(label: str, actual: np.ndarray) -> None:
        errors[label] = level_error(torch.from_numpy(actual), torch.from_numpy(golden[label]), WARP_SHARE)

    def number(label: str, actual: np.ndarray) -> None:
        errors[label] = relative_error(torch.from_numpy(actual), torch.from_numpy(golden[label]))

    for name in sorted({n.partition(".")[0] for n in golden}):
        if name.startswith("align"):
            size = golden[f"{name}.aligned"].shape[0]
            aligned, matrix = faces.align_face(golden[f"{name}.image"], golden[f"{name}.landmarks"], size)
            picture(f"{name}.aligned", aligned)
            number(f"{name}.matrix", matrix)
            number(f"{name}.template", faces.scaled_template(size))
        elif name.startswith("pad"):
            picture(f"{name}.padded", faces.pad_to_aspect(golden[f"{name}.image"], float(golden[f"{name}.ratio"])))
        elif name.startswith("long"):
            picture(f"{name}.resized", faces.limit_long_edge(golden[f"{name}.image"], int(golden[f"{name}.edge"])))
    return errors | _whole_way(golden)


def _whole_way(golden: dict[str, np.ndarray]) -> dict[str, float | Measure]:
    seen: list[np.ndarray] = []

    def parser(pixels: np.ndarray) -> np.ndarray:
        seen.append(pixels)
        return golden["full.parse_labels_128"].repeat(4, 0).repeat(4, 1)

    columns = (golden["full.bboxes"], golden["full.kps"], golden["full.embeddings"])
    found = [faces.DetectedFace(box, landmarks, vector) for box, landmarks, vector in zip(*columns, strict=True)]
    full = faces.extract_face(golden["full.image_rgb"], RecordedDetector(found, None, None), parser)
    other = RecordedDetector([], golden["full.kps"][0], golden["full.embeddings"][2])
    fallback = faces.extract_face(golden["full.image_rgb"], other, parser)
    pixels = torch.from_numpy(seen[0])
    pooled = torch.nn.functional.avg_pool2d(pixels, 64)
    rows = torch.from_numpy(fallback.picture[200:216])

    def same(name: str, actual: Tensor) -> float:
        return relative_error(actual, torch.from_numpy(golden[name]))

    def near(name: str, actual: Tensor) -> Measure:
        return level_error(actual, torch.from_numpy(golden[name]), WARP_SHARE)

    return {
        "full.face_rgb": near("full.face_rgb", torch.from_numpy(full.picture)),
        "full.id_embed": same("full.id_embed", torch.from_numpy(full.identity).half()[None]),
        "full.parse_input_8x8": Measure(same("full.parse_input_8x8", pooled), 1e-3),  # one level is 2e-3 of the range
        "fallback.face_rgb": near("fallback.face_rgb_rows_200_216", rows),
        "fallback.id_embed": same("fallback.id_embed", torch.from_numpy(fallback.identity).half()[None]),
    }


def manifest(goldens: Path) -> Errors:
    """The released network's names and shapes, on meta, strict both ways."""
    base = read_json(goldens / "manifests/echovideo_transformer.json")
    tensors = {name: torch.empty(shape, device="meta") for name, shape in base.items()}
    config = {
        "num_attention_heads": 48, "num_layers": 42, "in_channels": 32, "use_rotary_positional_embeddings": True,
    }  # fmt: skip
    renamed = transformer_sources(tensors, config)
    return {"tensors not in the manifest": float(len(renamed.sources.keys() ^ base.keys()))}


_PARTS = ("echovideo/config.json", "echovideo/components/*.safetensors", "echovideo/pipe_dpm_dyn.safetensors")
CASES = (
    Case("echovideo/manifest", ("manifests/echovideo_transformer.json",), manifest),
    Case("echovideo/forward", (*_PARTS[:2], "echovideo/forward.safetensors"), forward),
    Case("echovideo/forward_hardcoded", (_PARTS[0], "echovideo/forward_hardcoded.safetensors"), forward_hardcoded),
    Case("echovideo/pipe_dpm_dyn", _PARTS, pipe_dpm_dyn),
    Case("echovideo/pipe_ddim_static", (*_PARTS, "echovideo/pipe_ddim_static.safetensors"), pipe_ddim_static),
    Case("echovideo/pipe_dpm_dyn_tiled", (*_PARTS, "echovideo/pipe_dpm_dyn_tiled.safetensors"), pipe_dpm_dyn_tiled),
    Case("echovideo/rotary", ("echovideo/face_utils.safetensors",), rotary),
    Case("echovideo/face_helpers", ("echovideo/face_utils.safetensors",), face_helpers),
)
