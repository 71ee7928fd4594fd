"""Each released layout, at tiny size: fetched from a loopback hub, converted, generated from, by the real parts."""

from __future__ import annotations

import inspect
import io
import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.schedulers.scheduling_dpm_cogvideox import CogVideoXDPMScheduler
from torch import Tensor
from transformers import SiglipConfig, SiglipModel

from models.common.face_parsing import BiSeNet
from models.common.faces import Face
from models.echovideo.pipeline import Settings
from models.method import Conversion, Published
from models.repvideo.config import RepVideoRequest
from models.repvideo.convert import RELEASED_SCHEDULER
from models.repvideo.pipeline import RepVideoPipeline
from studio.presets import Preset, load_preset
from studio.registry import Registry
from studio.registry.files import WeightsError
from studio.weights.hub_cache import HubSource
from tests.unit.models import cogvideox_parts as parts
from tests.unit.models.test_echovideo import CONFIG as ECHOVIDEO_CONFIG
from tests.unit.models.test_echovideo import VISION
from tests.unit.models.test_repvideo_convert import as_sat
from tests.unit.studio.weights_shop import Shop, open_shop

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow  # each conversion imports torch in a process of its own


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with open_shop(tmp_path, monkeypatch) as opened:
        yield opened


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry("cpu", cache_dir=tmp_path / "digests")


def saved(module: Any, folder: Path, **options: Any) -> dict[str, bytes]:
    """The files that a library writes for one of its own."""
    module.save_pretrained(folder, **options)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def below(prefix: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{prefix}/{name}": content for name, content in files.items()}


def pickled(content: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def cogvideox_repository(folder: Path) -> dict[str, bytes]:
    """The parts that both methods take from CogVideoX; the text encoder in shards, as released."""
    files = below("vae", saved(parts.vae(), folder / "vae"))
    files |= below("text_encoder", saved(parts.text_encoder(), folder / "text", max_shard_size="3KB"))
    files |= below("tokenizer", saved(parts.tokenizer(), folder / "tokenizer"))
    assert sum(name.endswith(".safetensors") for name in files) > 2
    return files


def publish(shop: Shop, source: str, files: dict[str, bytes]) -> None:
    """At the commit that presets and methods name."""
    place = HubSource.parse(source)
    shop.hub.publish(place.repository, files, place.revision if place.pinned else "d" * 40)


def placed(conversions: tuple[Conversion, ...], folder: Path, **options: Any) -> tuple[Conversion, ...]:
    """Conversions that write below `folder` instead of the repository."""
    return tuple(replace(c, folder=str(folder / c.folder), options={**c.options, **options}) for c in conversions)


def moved(weights: Any, folder: Path, **changes: Any) -> Any:
    """Weights whose converted parts lie below `folder`."""
    converted = {
        name: str(folder / value)
        for name, value in vars(weights).items()
        if isinstance(value, str) and value.startswith("weights/")
    }
    return replace(weights, **converted, **changes)


# RepVideo: a SAT checkpoint beside CogVideoX-2B


def repvideo(shop: Shop, content: bytes | None = None) -> Preset:
    """The released preset at tiny size; `content` in place of a whole checkpoint."""
    preset = load_preset(ROOT / "presets/repvideo/full.yaml")
    (conversion,) = preset.method.conversions
    checkpoint = content or pickled({"module": as_sat(parts.network(parts.SMALL)), "iteration": 35000})
    files = {"latest": b"35000", "35000/mp_rank_00_model_states.pt": checkpoint, "model_config.json": b"{}"}
    publish(shop, conversion.sources["checkpoint"].source, files)
    publish(shop, preset.weights.vae, cogvideox_repository(shop.folder / "published"))
    method = replace(preset.method, conversions=placed((conversion,), shop.folder, config=parts.SMALL))
    weights = moved(preset.weights, shop.folder, height=24, width=32, frames=[9])
    return replace(preset, method=method, weights=weights)


def test_repvideo_from_its_published_files_to_frames(shop: Shop, registry: Registry):
    preset = repvideo(shop)
    shop.get(preset)
    assert not shop.hub.sent("model_config.json")
    request = RepVideoRequest(prompt="a red ball", num_inference_steps=2, num_frames=9)
    with registry.acquire(preset.recipe) as pipeline:
        (clip,) = pipeline(request, lambda step: None)
    assert clip.frames.shape == (9, 24, 32, 3)
    same = RepVideoPipeline(
        transformer=parts.network(parts.SMALL),
        vae=parts.vae(),
        text_encoder=parts.text_encoder(),
        tokenizer=parts.tokenizer(),
        scheduler=CogVideoXDPMScheduler(**RELEASED_SCHEDULER),
        height=24,
        width=32,
        frames=(9,),
    )
    assert np.array_equal(clip.frames, same(request, lambda step: None)[0].frames)
    assert shop.library.verify(preset).damaged == ()


class Trap:
    """What a malicious checkpoint holds: unpickled, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("zipped", [True, False])  # torch's two formats
def test_a_checkpoint_that_would_run_code_is_refused_and_runs_nothing(shop: Shop, zipped):
    trap = shop.folder / "sprung"
    content = pickled({"module": {"x": Trap(trap)}}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match="cannot be read as plain tensors"):
        shop.get(repvideo(shop, content))
    assert not trap.exists() and not list((shop.folder / "weights").iterdir())


def test_a_checkpoint_of_another_network_names_what_is_missing(shop: Shop):
    tensors = as_sat(parts.network(parts.SMALL))
    del tensors["model.diffusion_model.transformer.learnable_gating"]
    with pytest.raises(WeightsError, match=r"1 missing:\s+learnable_gating"):
        shop.get(repvideo(shop, pickled({"module": tensors})))
    assert not (shop.folder / "weights/repvideo").exists()


# EchoVideo: a sharded transformer, CogVideoX-5B's parts, SigLIP, and two files from release pages


def echovideo(shop: Shop) -> Preset:
    """The released preset at tiny size."""
    from models.echovideo.transformer import EchoVideoTransformer3DModel

    preset = load_preset(ROOT / "presets/echovideo/full.yaml")
    torch.manual_seed(0)
    network = EchoVideoTransformer3DModel(**ECHOVIDEO_CONFIG).eval()
    release = below("transformer", saved(network, shop.folder / "network", max_shard_size="40KB"))
    release |= below("scheduler", saved(parts.scheduler(snr_shift_scale=1.0), shop.folder / "scheduler"))
    publish(shop, preset.weights.transformer, release)
    publish(shop, preset.weights.vae, cogvideox_repository(shop.folder / "published"))
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = SiglipConfig(vision_config=VISION.to_dict(), text_config=text | {"vocab_size": 8})
    siglip = preset.method.conversions[0].sources["siglip"].source
    publish(shop, siglip, released_siglip(config, shop.folder / "siglip"))
    pack = io.BytesIO()
    with zipfile.ZipFile(pack, "w") as archive:
        archive.writestr("antelopev2/scrfd_10g_bnkps.onnx", b"a detector")
    shop.hub.plain |= {"/antelopev2.zip": pack.getvalue(), "/parsing_bisenet.pth": released_parser()}
    conversions = placed(from_loopback(shop, preset.method.conversions), shop.folder)
    weights = moved(preset.weights, shop.folder, sizes=["32x24"], frames=[9])
    return replace(preset, method=replace(preset.method, conversions=conversions), weights=weights)


def released_siglip(config: SiglipConfig, folder: Path) -> dict[str, bytes]:
    """Both towers in one file, the vision tower's names with their old prefix."""
    files = saved(SiglipModel(config).eval(), folder)
    names = json.loads(files["model.safetensors"][8 : 8 + int.from_bytes(files["model.safetensors"][:8], "little")])
    assert any(name.startswith("vision_model.") for name in names)
    return files


def released_parser() -> bytes:
    torch.manual_seed(3)
    return pickled(BiSeNet(classes=5, width=4).state_dict(), _use_new_zipfile_serialization=False)


def from_loopback(shop: Shop, conversions: tuple[Conversion, ...]) -> tuple[Conversion, ...]:
    """Addresses of release pages as the loopback server has them, with the checksum of what lies there."""
    import hashlib

    def local(published: Published) -> Published:
        if not published.source.startswith("https://"):
            return published
        name = "/" + published.source.partition("#")[0].rpartition("/")[2]
        return Published(f"{shop.hub.address}{name}#sha256={hashlib.sha256(shop.hub.plain[name]).hexdigest()}")

    return tuple(replace(c, sources={key: local(p) for key, p in c.sources.items()}) for c in conversions)


def test_echovideo_from_its_published_files_to_frames(shop: Shop, registry: Registry):
    preset = echovideo(shop)
    assert not shop.library.status(preset).ready
    shop.get(preset)
    assert len([a for a in shop.hub.answers if a.method == "GET" and "/transformer/diffusion_pytorch" in a.path]) > 2
    assert (shop.folder / "weights/echovideo/antelopev2/scrfd_10g_bnkps.onnx").read_bytes() == b"a detector"
    random = np.random.default_rng(0)
    picture = random.integers(0, 255, (32, 32, 3), dtype=np.uint8)
    face = Face(picture, random.standard_normal(12).astype(np.float32))
    settings = Settings(height=24, width=32, num_frames=9, num_inference_steps=2)
    with registry.acquire(preset.recipe) as pipeline:
        fused = pipeline.generate("a red ball", face, settings, 1, lambda step: None)  # type: ignore[attr-defined]
        plain = replace(settings, identity_fusion=False)
        alone = pipeline.generate("a red ball", face, plain, 1, lambda step: None)  # type: ignore[attr-defined]
        parser = pipeline.faces.parser  # type: ignore[attr-defined]
        assert parser.parse(random.standard_normal((1, 3, 64, 64)).astype(np.float32)).max() < 5
    assert fused.shape == (9, 24, 32, 3) and not np.array_equal(fused, alone)
    assert shop.library.verify(preset).damaged == ()


# MCM: an adapter and its teacher


def stable_diffusion(folder: Path, unet: Any) -> dict[str, bytes]:
    from tests.unit.models import tiny_animatediff as tiny

    frame, text = tiny.frame_parts(), tiny.text_parts()
    assert isinstance(frame["vae"], AutoencoderKL)
    files = below("unet", saved(unet, folder / "unet")) | below("vae", saved(frame["vae"], folder / "vae"))
    files |= below("scheduler", saved(frame["scheduler"], folder / "scheduler"))
    files |= below("text_encoder", saved(text["text_encoder"], folder / "text_encoder"))
    return files | below("tokenizer", saved(text["tokenizer"], folder / "tokenizer"))


def test_mcm_from_its_published_files_to_frames(shop: Shop, registry: Registry):
    from models.mcm import METHOD
    from models.mcm.config import McmRequest, McmWeights
    from models.mcm.downloads import ADAPTERS, MODELSCOPE
    from tests.unit.models import tiny_animatediff as tiny
    from tests.unit.models.test_mcm_adapter import save_adapter

    unet = tiny.modelscope_unet()
    publish(shop, MODELSCOPE, stable_diffusion(shop.folder / "published", unet))
    save_adapter(unet, shop.folder / "adapter")
    adapter = {path.name: path.read_bytes() for path in (shop.folder / "adapter").iterdir()}
    publish(shop, ADAPTERS, below("modelscopet2v-laion", adapter) | below("animatediff-laion", adapter))
    method = replace(METHOD, conversions=placed(METHOD.conversions, shop.folder, dtype="float32"))
    weights = McmWeights(
        unet="weights/mcm/modelscopet2v-laion/unet",
        teacher="weights/mcm/modelscopet2v-laion/teacher",
        **{name: f"{MODELSCOPE}:{name}" for name in ("vae", "text_encoder", "tokenizer", "scheduler")},
        network="modelscope",
    )
    preset = Preset("full", "MCM", method, moved(weights, shop.folder), McmRequest(prompt="a"), shop.folder / "x.yaml")
    shop.get(preset)
    assert not shop.hub.sent("animatediff-laion/adapter_model.safetensors")
    request = McmRequest(prompt="a ball", num_inference_steps=2, num_frames=4, height=32, width=32, teacher_steps=2)
    with registry.acquire(preset.recipe) as pipeline:
        (student,) = pipeline(request, lambda step: None)
        (teacher,) = pipeline(replace(request, teacher=True), lambda step: None)
    assert student.frames.shape == (4, 32, 32, 3) and not np.array_equal(student.frames, teacher.frames)


# CVD: Stable Diffusion, AnimateDiff's motion modules and adapter, CameraCtrl, and a file from a browser

RELEASED_NAMES = (
    (r"motion_modules\.(\d+)\.cross_view\.", r"epi_modules.\1.epi_transformer."),
    (r"motion_modules\.(\d+)\.", r"motion_modules.\1.temporal_transformer."),
    (r"\.attn1\.", r".attention_blocks.0."),
    (r"\.attn2\.", r".attention_blocks.1."),
    (r"\.norm1\.", r".norms.0."),
    (r"\.norm2\.", r".norms.1."),
    (r"\.norm3\.", r".ff_norm."),
    (r"\.pos_embed\.pe", r".attention_blocks.0.pos_encoder.pe"),
)


def released_name(name: str) -> str:
    """The authors' name of one of our tensors."""
    if "motion_modules" not in name:
        return name
    for pattern, theirs in RELEASED_NAMES[:2]:
        name, found = re.subn(pattern, theirs, name)
        if found:
            break
    if "epi_modules" in name:
        return name
    for pattern, theirs in RELEASED_NAMES[2:]:
        name = re.sub(pattern, theirs, name)
    return name


def cvd_release(state: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Our network taken apart into the files of the release."""
    files: dict[str, dict[str, Tensor]] = {"base": {}, "motion": {}, "camera": {}, "cvd": {}}
    for name, tensor in state.items():
        theirs = released_name(name)
        kind = "cvd" if "epi_modules" in theirs else "camera" if "qkv_merge" in theirs else "motion"
        files[kind if "motion_modules" in name else "base"][theirs] = tensor
        if theirs.endswith("attention_blocks.0.pos_encoder.pe"):
            files["motion"][theirs.replace("blocks.0.pos", "blocks.1.pos")] = tensor.clone()
    return files


def own_config(module: Any) -> dict[str, Any]:
    """The settings that its own constructor takes."""
    names = inspect.signature(type(module).__init__).parameters
    return {name: value for name, value in module.config.items() if name in names}


def test_cvd_from_its_published_files_to_frames(shop: Shop, registry: Registry):
    from safetensors.torch import save

    from models.cvd import METHOD
    from models.cvd.config import CvdRequest, CvdWeights
    from models.cvd.downloads import ANIMATEDIFF, BASE, CAMERACTRL
    from tests.unit.models import tiny_animatediff as tiny

    unet, encoder = tiny.cvd_unet(), tiny.pose_encoder()
    released = cvd_release(unet.state_dict())
    spatial = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    up, down = torch.randn(32, 2), torch.randn(2, 32)
    adapter = {
        f"{spatial.removesuffix('.to_q.weight')}.processor.to_q_lora.{half}.weight": tensor
        for half, tensor in (("up", up), ("down", down))
    }
    blank = UNet2DConditionModel(
        block_out_channels=(8,), layers_per_block=1, norm_num_groups=8, cross_attention_dim=8,
        down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",),
    )  # fmt: skip
    base = stable_diffusion(shop.folder / "published", blank)
    base["unet/diffusion_pytorch_model.safetensors"] = save(released["base"])
    publish(shop, BASE, base)
    publish(
        shop,
        ANIMATEDIFF,
        {
            "v3_sd15_mm.ckpt": pickled(released["motion"], _use_new_zipfile_serialization=False),
            "v3_sd15_adapter.ckpt": pickled({"state_dict": adapter}),
        },
    )
    camera = {
        "epoch": 3,
        "pose_encoder_state_dict": encoder.state_dict(),
        "attention_processor_state_dict": released["camera"],
    }
    publish(shop, CAMERACTRL, {"CameraCtrl.ckpt": pickled(camera)})
    (shop.folder / "downloads").mkdir()
    (shop.folder / "downloads/CVD.ckpt").write_bytes(pickled({"epoch": 1, "unet_trainable_dict": released["cvd"]}))
    configs = {"unet_config": own_config(unet), "pose_config": own_config(encoder)}
    method = replace(METHOD, conversions=placed(METHOD.conversions, shop.folder, **configs))
    weights = CvdWeights(
        unet="weights/cvd/unet",
        pose_encoder="weights/cvd/pose_encoder",
        **{name: f"{BASE}:{name}" for name in ("vae", "text_encoder", "tokenizer", "scheduler")},
    )
    request = CvdRequest(
        prompt="a ball", num_views=2, num_inference_steps=2, num_frames=tiny.FRAMES, height=tiny.SIZE, width=tiny.SIZE
    )
    preset = Preset("full", "CVD", method, moved(weights, shop.folder), request, shop.folder / "x.yaml")
    with pytest.raises(WeightsError, match=r"drive.google.com.*--from FOLDER"):
        shop.get(preset)
    shop.get(preset, by_hand=shop.folder / "downloads")
    with registry.acquire(preset.recipe) as pipeline:
        clips = pipeline(request, lambda step: None)
        state = pipeline.unet.state_dict()  # type: ignore[attr-defined]
    assert [clip.frames.shape for clip in clips] == [(tiny.FRAMES, tiny.SIZE, tiny.SIZE, 3)] * 2
    for name, tensor in unet.state_dict().items():
        torch.testing.assert_close(state[name], tensor + up @ down if name == spatial else tensor)
