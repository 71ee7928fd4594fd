"""The registry over tiny real networks: what diffusers and transformers save, it must load, share and let go."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers

from models.method import Component, Recipe, StopRequested
from studio.events import StudioError
from studio.registry import Registry, WeightsError
from studio.registry.files import find_folder

TRANSFORMER: dict[str, Any] = {
    "num_attention_heads": 2, "attention_head_dim": 16, "in_channels": 4, "out_channels": 4, "time_embed_dim": 8,
    "text_embed_dim": 32, "num_layers": 2, "sample_width": 8, "sample_height": 8, "sample_frames": 5, "patch_size": 2,
    "max_text_seq_length": 8,
}  # fmt: skip
VAE: dict[str, Any] = {
    "down_block_types": ("CogVideoXDownBlock3D",) * 2, "up_block_types": ("CogVideoXUpBlock3D",) * 2,
    "block_out_channels": (8, 8), "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 2,
    "temporal_compression_ratio": 1,
}  # fmt: skip
UNET: dict[str, Any] = {
    "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4, "cross_attention_dim": 32,
}  # fmt: skip
MOTION: dict[str, Any] = {
    "down_block_types": ("CrossAttnDownBlockMotion", "DownBlockMotion"), "num_attention_heads": 2,
    "up_block_types": ("UpBlockMotion", "CrossAttnUpBlockMotion"), "motion_num_attention_heads": 2,
    "motion_max_seq_length": 8, "use_motion_mid_block": False,
}  # fmt: skip
VIDEO: dict[str, Any] = {
    "down_block_types": ("CrossAttnDownBlock3D", "DownBlock3D"), "attention_head_dim": 4,
    "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D"),
}  # fmt: skip


class Parts:
    """A pipeline that only holds what it was given."""

    def __init__(self, **parts):
        self.__dict__.update(parts)

    def __call__(self, request, on_step):
        return []


class Broken:
    def __init__(self, **parts):
        raise RuntimeError("constructor")


@pytest.fixture(scope="session")
def saved(tmp_path_factory) -> Path:
    """One folder per network, as its own library writes it."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    config = transformers.T5Config(d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, vocab_size=100)
    clip: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    networks = {
        "text_encoder": transformers.T5EncoderModel(config),
        "clip": transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**clip, image_size=32)),
        "clip_text": transformers.CLIPTextModel(transformers.CLIPTextConfig(**clip, vocab_size=100)),
        "siglip": transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**clip, image_size=32)),
        "unet_motion": diffusers.UNetMotionModel(**UNET, **MOTION),
        "unet_3d": diffusers.UNet3DConditionModel(**UNET, **VIDEO),
        "vae": diffusers.AutoencoderKLCogVideoX(**VAE),
        "transformer": diffusers.CogVideoXTransformer3DModel(**TRANSFORMER),
        "learned": diffusers.CogVideoXTransformer3DModel(
            **TRANSFORMER, use_rotary_positional_embeddings=True, use_learned_positional_embeddings=True
        ),
    }
    for name, network in networks.items():
        network.eval().save_pretrained(folder / name)
    networks["transformer"].save_pretrained(folder / "sharded", max_shard_size="50KB")
    diffusers.CogVideoXDDIMScheduler().save_pretrained(folder / "scheduler")
    return folder


BUILDERS = {
    "text_encoder": "transformers:T5EncoderModel",
    "clip": "transformers:CLIPVisionModelWithProjection",
    "clip_text": "transformers:CLIPTextModel",
    "siglip": "transformers:SiglipVisionModel",
    "unet_motion": "diffusers:UNetMotionModel",
    "unet_3d": "diffusers:UNet3DConditionModel",
    "vae": "diffusers:AutoencoderKLCogVideoX",
    "transformer": "diffusers:CogVideoXTransformer3DModel",
    "learned": "diffusers:CogVideoXTransformer3DModel",
    "sharded": "diffusers:CogVideoXTransformer3DModel",
    "scheduler": "diffusers:CogVideoXDDIMScheduler",
}
HERE = f"{__name__}:Parts"


@pytest.fixture
def recipe(saved):
    """recipe("vae", "scheduler") over the saved folders, or over `folder`."""

    def build(*names: str, method: str = "one", folder: Path = saved, dtype: str = "", pipeline: str = HERE) -> Recipe:
        components = tuple(
            Component(
                name,
                BUILDERS[name],
                str(folder / name),
                kind="files" if name == "scheduler" else "module",
                dtype=dtype,
            )
            for name in names
        )
        return Recipe(method, pipeline, components)

    return build


@pytest.fixture
def copies(saved, tmp_path) -> Path:
    """Weights that a test may damage."""
    return Path(shutil.copytree(saved, tmp_path / "weights"))


@pytest.fixture
def registry(tmp_path) -> Registry:
    return Registry("cpu", cache_dir=tmp_path / "cache")


def weights_in(folder: Path) -> Path:
    return next(path for path in folder.iterdir() if path.suffix == ".safetensors")


def storages(module: torch.nn.Module) -> set[int]:
    return {tensor.untyped_storage().data_ptr() for tensor in module.parameters()}


def load_reference(name: str, folder: Path):
    library, _, cls = BUILDERS[name].partition(":")
    return getattr({"diffusers": diffusers, "transformers": transformers}[library], cls).from_pretrained(folder)


SAVED = ("text_encoder", "clip", "clip_text", "siglip", "unet_motion", "unet_3d", "vae", "transformer", "learned")


@pytest.mark.parametrize("name", SAVED)
def test_a_network_is_what_its_own_library_loads(registry, recipe, saved, name):
    reference = load_reference(name, saved / name)
    with registry.acquire(recipe(name)) as parts:
        module = getattr(parts, name)
        for kind in ("named_parameters", "named_buffers"):
            ours, theirs = dict(getattr(module, kind)()), dict(getattr(reference, kind)())
            assert ours.keys() == theirs.keys()
            for key, tensor in theirs.items():
                expected = tensor.float() if tensor.dtype == torch.float64 else tensor  # CogVideoX's position table
                assert ours[key].dtype == expected.dtype and torch.equal(ours[key], expected), key
        assert not module.training and not any(parameter.requires_grad for parameter in module.parameters())


def test_a_network_computes_what_its_own_library_computes(registry, recipe, saved):
    reference = load_reference("transformer", saved / "transformer")
    inputs = {
        "hidden_states": torch.randn(1, 2, 4, 8, 8),
        "encoder_hidden_states": torch.randn(1, 8, 32),
        "timestep": torch.tensor([500]),
    }
    with registry.acquire(recipe("transformer")) as parts, torch.no_grad():
        assert torch.equal(parts.transformer(**inputs).sample, reference(**inputs).sample)


def test_the_text_encoders_tied_embedding_is_one_tensor(registry, recipe):
    with registry.acquire(recipe("text_encoder")) as parts:
        assert parts.text_encoder.encoder.embed_tokens.weight is parts.text_encoder.shared.weight


def test_shards_are_joined(registry, recipe, saved):
    assert len(list((saved / "sharded").glob("*.safetensors"))) > 1
    reference = load_reference("transformer", saved / "transformer").state_dict()
    with registry.acquire(recipe("sharded")) as parts:
        assert all(torch.equal(tensor, reference[name]) for name, tensor in parts.sharded.state_dict().items())


def test_two_methods_share_tensors_and_not_modules(registry, recipe, copies, saved):
    with (
        registry.acquire(recipe("vae")) as one,
        registry.acquire(recipe("vae", method="two")) as two,
        registry.acquire(recipe("vae", method="three", folder=copies)) as three,  # the same content elsewhere
    ):
        assert one.vae is not two.vae and storages(one.vae) == storages(two.vae) == storages(three.vae)
        one.vae.enable_tiling()
        one.vae.decoder.conv_in.register_forward_hook(lambda *_: None)
        assert not two.vae.use_tiling and not two.vae.decoder.conv_in._forward_hooks
    status = registry.status()
    assert len(status["components"]) == 1 and status["components"][0]["methods"] == ["one", "three", "two"]


def test_a_second_job_reads_no_byte_and_gets_the_same_module(registry, recipe):
    loading = []
    with registry.acquire(recipe("vae"), lambda *event: loading.append(event)) as first:
        module = first.vae
    assert loading[-1][1] == loading[-1][2] > 0 and {name for name, *_ in loading} == {"vae"}
    loading.clear()
    with registry.acquire(recipe("vae"), lambda *event: loading.append(event)) as second:
        assert second.vae is module and loading == []


def test_a_scheduler_is_new_for_each_job(registry, recipe):
    with registry.acquire(recipe("scheduler")) as one, registry.acquire(recipe("scheduler")) as two:
        one.scheduler.set_timesteps(7)
        assert one.scheduler is not two.scheduler and two.scheduler.num_inference_steps is None


def test_leased_weights_stay_and_unload_says_what_it_freed(registry, recipe):
    with registry.acquire(recipe("vae", "transformer")) as parts:
        assert registry.unload() == 0
        least = sum(t.nbytes for m in (parts.vae, parts.transformer) for t in [*m.parameters(), *m.buffers()])
        tensors = sum(len(m.state_dict()) for m in (parts.vae, parts.transformer))
    assert {component["leased"] for component in registry.status()["components"]} == {False}
    assert least <= registry.status()["bytes"] <= least + 256 * tensors, "each tensor begins at a multiple of 256"
    assert registry.status()["bytes"] == registry.unload()
    assert registry.status()["components"] == []


def test_unloaded_weights_leave_memory(registry, recipe):
    import weakref

    with registry.acquire(recipe("vae")) as parts:
        watched = weakref.ref(parts.vae)
        del parts
    registry.unload()
    assert watched() is None


def test_an_error_in_a_job_ends_its_lease(registry, recipe):
    with pytest.raises(StopRequested), registry.acquire(recipe("vae")):
        raise StopRequested
    assert registry.unload() > 0


def test_dtype_is_float32_on_a_cpu_unless_asked_otherwise(registry, recipe):
    for asked, given in (("", torch.float32), ("float16", torch.float32), ("bfloat16", torch.bfloat16)):
        with registry.acquire(recipe("vae", dtype=asked)) as parts:
            assert parts.vae.dtype == given
    assert sorted(c["dtype"] for c in registry.status()["components"]) == ["bfloat16", "float32"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1000]), "is cut short"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "is cut short"),
        (lambda path: path.write_bytes(b""), "is cut short"),
        (lambda path: path.write_bytes(b"<html>not found</html>" * 50), "is not a safetensors file"),
        (lambda path: (path.parent / "config.json").unlink(), "config.json is missing"),
        (lambda path: (path.parent / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda path: shutil.rmtree(path.parent), "does not exist"),
    ],
)
def test_damaged_weights_are_one_sentence_and_change_nothing(registry, recipe, copies, damage, words, caplog):
    with registry.acquire(recipe("text_encoder", folder=copies)):
        pass
    before, dtype = registry.status(), torch.get_default_dtype()
    damage(weights_in(copies / "vae"))
    broken = recipe("transformer", "vae", folder=copies)
    with pytest.raises(WeightsError, match=words) as caught, registry.acquire(broken):
        pass
    assert "vae" in caught.value.message and caught.value.advice and "\n" not in str(caught.value)
    assert registry.status() == before and torch.get_default_dtype() == dtype


def edit(path: Path, change) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop("encoder.conv_in.conv.bias"), r"lack 1 of .*'encoder.conv_in.conv.bias'"),
        (lambda tensors: tensors.update(extra=torch.zeros(3)), r"have unknown 1 of .*'extra'"),
        (
            lambda tensors: tensors.update({"encoder.conv_in.conv.bias": torch.zeros(3)}),
            r"differently shaped 1 of .*'encoder.conv_in.conv.bias'",
        ),
    ],
)
def test_weights_of_another_network_are_refused_by_name(registry, recipe, copies, change, words):
    edit(weights_in(copies / "vae"), change)
    with pytest.raises(WeightsError, match=words), registry.acquire(recipe("transformer", "vae", folder=copies)):
        pass
    assert registry.status()["components"] == [] and registry.memory.fetches == 0, "refused before a byte was read"
    with registry.acquire(recipe("vae")):
        pass


def test_a_config_of_another_network_is_refused(registry, recipe, copies, caplog):
    config = copies / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"down_block_types": ["Nonsense"]}))
    with (
        caplog.at_level(logging.CRITICAL),
        pytest.raises(WeightsError, match="does not describe a AutoencoderKLCogVideoX"),
        registry.acquire(recipe("vae", folder=copies)),
    ):
        pass


def test_a_pipeline_that_cannot_be_made_leaves_what_was_there(registry, recipe):
    with registry.acquire(recipe("vae")):
        pass
    before = registry.status()
    broken = recipe("vae", "transformer", method="two", pipeline=f"{__name__}:Broken")
    with pytest.raises(RuntimeError, match="constructor"), registry.acquire(broken):
        pass
    after = registry.status()
    assert [c["source"] for c in after["components"]] == [c["source"] for c in before["components"]]
    assert not any(c["leased"] for c in after["components"])


def test_a_load_can_be_stopped_and_leaves_what_was_there(registry, recipe):
    def stop(stage: str, done: int, total: int) -> None:
        raise StopRequested

    with pytest.raises(StopRequested), registry.acquire(recipe("vae"), stop):
        pass
    assert registry.status()["components"] == []
    with registry.acquire(recipe("vae")):
        pass


def test_replaced_weights_are_noticed(registry, recipe, copies):
    with registry.acquire(recipe("vae", folder=copies)) as parts:
        old = parts.vae.encoder.conv_in.conv.bias.clone()
        edit(weights_in(copies / "vae"), lambda tensors: tensors["encoder.conv_in.conv.bias"].add_(1))
        assert torch.equal(parts.vae.encoder.conv_in.conv.bias, old), "a running job keeps what it has"
    with registry.acquire(recipe("vae", folder=copies)) as parts:
        assert torch.equal(parts.vae.encoder.conv_in.conv.bias, old + 1)


def test_digests_are_kept_between_runs_and_a_damaged_cache_is_ignored(recipe, tmp_path):
    cache = tmp_path / "cache"
    with Registry("cpu", cache_dir=cache).acquire(recipe("vae")):
        pass
    kept = json.loads((cache / "digests.json").read_text())
    assert len(kept) == 1 and all(len(digest) == 64 for digest in kept.values())
    (cache / "digests.json").write_text("[1, 2")
    with Registry("cpu", cache_dir=cache).acquire(recipe("vae")):
        pass
    assert json.loads((cache / "digests.json").read_text()) == kept


def test_a_leased_pipeline_is_described_by_digests(registry, recipe, saved):
    import hashlib

    with registry.acquire(recipe("vae", "scheduler")) as parts:
        described = registry.describe(parts)
    digest = hashlib.sha256(weights_in(saved / "vae").read_bytes()).hexdigest()
    assert described == {"vae": {"source": str(saved / "vae"), "sha256": digest, "dtype": "float32"}}


def test_memory_is_made_before_a_byte_moves_and_what_cannot_fit_is_refused(recipe, tmp_path):
    free = Registry("cpu")
    sizes = {}
    for name in ("vae", "transformer", "text_encoder"):
        with free.acquire(recipe(name)):
            pass
        sizes[name] = free.unload()
    limit = sizes["vae"] + max(sizes["transformer"], sizes["text_encoder"])
    registry = Registry("cpu", memory_gb=limit / 2**30, cache_dir=tmp_path)
    for name in ("vae", "transformer", "vae", "text_encoder"):
        with registry.acquire(recipe(name)):
            assert registry.status()["bytes"] <= limit
    assert {c["names"][0] for c in registry.status()["components"]} == {"vae", "text_encoder"}  # oldest use went
    before = registry.status()
    with (
        pytest.raises(WeightsError, match=r"needs .* GiB .* limit is"),
        registry.acquire(recipe("vae", "transformer", "text_encoder")),
    ):
        pass
    assert registry.status() == before


def test_many_first_requests_load_once_and_leave_other_threads_alone(registry, recipe):
    made, stop = [], threading.Event()

    def other_work() -> None:
        while not stop.is_set():
            made.append(torch.nn.Linear(4, 4).weight.is_meta or torch.get_default_dtype() != torch.float32)

    def ask() -> None:
        with registry.acquire(recipe("transformer")):
            pass

    other = threading.Thread(target=other_work)
    askers = [threading.Thread(target=ask) for _ in range(8)]
    other.start()
    for thread in askers:
        thread.start()
    for thread in askers:
        thread.join()
    stop.set()
    other.join()
    assert registry.memory.fetches == 1 and len(made) > 0 and not any(made)


def test_a_gpu_that_is_not_there_is_a_sentence(recipe):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(StudioError, match="no CUDA device"), Registry("cuda").acquire(recipe("vae")):
        pass
    registry: Any = Registry("auto")
    with registry.acquire(recipe("vae")) as parts:
        assert parts.vae.device.type == "cpu"


@pytest.mark.gpu
def test_a_gpu_gets_bfloat16_and_gives_its_memory_back(recipe):
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    registry: Any = Registry("auto")
    before = torch.cuda.memory_allocated()
    with registry.acquire(recipe("vae", "learned")) as parts:
        assert parts.vae.device.type == "cuda" and parts.vae.dtype == torch.bfloat16
        assert parts.learned.patch_embed.pos_embedding.device.type == "cuda"
        del parts
    registry.unload()
    assert torch.cuda.memory_allocated() == before


def test_sources_outside_the_machine_are_refused_with_the_command_that_gets_them():
    with pytest.raises(WeightsError) as caught:
        find_folder("hub:quintet/nowhere@abc:vae")
    assert "quintet/nowhere (vae)" in caught.value.message
    assert "python -m studio weights get" in caught.value.advice
    with pytest.raises(WeightsError, match="hub:owner/name"):
        find_folder("hub:not a name")


def test_a_tokenizer_that_cannot_be_read_is_a_sentence(registry, recipe, copies, caplog):
    (copies / "scheduler" / "scheduler_config.json").write_text("{")
    broken = replace(recipe("scheduler", folder=copies))
    with caplog.at_level(logging.CRITICAL), pytest.raises(WeightsError, match=r"scheduler in .* cannot be read"):
        registry.acquire(broken).__enter__()
