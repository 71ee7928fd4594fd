"""CustomVideoX's LoRA files: diffusers' and PEFT's layout, told apart from files of other networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.customvideox.lora import LAYERS, LoraSettings, ReferenceLora, load_lora
from models.customvideox.transformer import CustomVideoXTransformer3DModel
from tests.unit.models import cogvideox_parts as parts
from tests.unit.models.test_customvideox_network import lora_for, network

FILE = "pytorch_lora_weights.safetensors"
OTHERS = LoraSettings(rank=7, alpha=1.0, rows="reference", mask="joint")


def same(first: ReferenceLora, second: ReferenceLora, tolerance: float = 1e-3) -> bool:
    ours, theirs = first.tensors(), second.tensors()
    return ours.keys() == theirs.keys() and all(torch.allclose(ours[n], theirs[n], atol=tolerance) for n in ours)


def saved(folder: Path, **changes) -> tuple[CustomVideoXTransformer3DModel, ReferenceLora]:
    model = network(parts.PATCHED)
    lora = lora_for(model, **changes)
    lora.save(folder)
    return model, lora


@pytest.mark.parametrize("changes", [{}, {"rows": "reference", "mask": "joint", "layers": ("to_q", "to_out")}])
def test_what_is_saved_is_loaded_with_its_settings(tmp_path, changes):
    model, lora = saved(tmp_path, **changes)
    for source in (tmp_path, tmp_path / FILE):
        loaded = load_lora(str(source), model, OTHERS)
        assert same(lora, loaded)
        assert loaded.settings == lora.settings
        assert not any(p.requires_grad for p in loaded.parameters())


def test_the_file_is_read_by_diffusers_itself(tmp_path):
    saved(tmp_path, layers=("to_q", "to_k", "to_v", "to_out"))
    plain = parts.network(parts.PATCHED)
    tensors = {k: v.float() for k, v in load_file(tmp_path / FILE).items() if not k.endswith("reference_type")}
    plain.load_lora_adapter(tensors, prefix="transformer", network_alphas=None)
    active = {name for name, _ in plain.named_parameters() if "lora_A" in name}
    assert len(active) == 4 * parts.PATCHED["num_layers"]


def test_pefts_own_file_and_names_are_read(tmp_path):
    model, lora = saved(tmp_path / "ours")
    tensors = load_file(tmp_path / "ours" / FILE)
    renamed = {name.replace("transformer.", "base_model.model.", 1): tensor for name, tensor in tensors.items()}
    save_file(renamed, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 8}))
    loaded = load_lora(str(tmp_path), model, LoraSettings())
    assert same(lora, loaded)
    assert loaded.settings.alpha == 8


def test_a_file_that_says_nothing_takes_the_presets_settings_and_no_vector(tmp_path):
    model, _ = saved(tmp_path / "ours")
    tensors = load_file(tmp_path / "ours" / FILE)
    save_file({name: t for name, t in tensors.items() if "reference_type" not in name}, tmp_path / FILE)
    loaded = load_lora(str(tmp_path), model, OTHERS)
    assert (loaded.settings.rows, loaded.settings.mask) == ("reference", "joint")
    assert (loaded.settings.rank, loaded.settings.alpha) == (4, 4.0)
    assert set(loaded.settings.layers) == set(LAYERS)
    assert not loaded.reference_type.any()


def test_other_keys_are_listed(tmp_path):
    model, _ = saved(tmp_path)
    tensors = load_file(tmp_path / FILE)
    first = "transformer.transformer_blocks.0.attn1.to_q.lora_B.weight"
    tensors["transformer.transformer_blocks.0.attn2.to_q.lora_A.weight"] = tensors.pop(first)
    tensors["transformer.transformer_blocks.1.ff.net.2.lora_A.weight"] = torch.zeros(4, 5)
    save_file(tensors, tmp_path / FILE)
    with pytest.raises(ValueError) as error:
        load_lora(str(tmp_path), model, OTHERS)
    message = str(error.value)
    assert "1 missing: transformer_blocks.0.attn1.to_q.lora_B.weight" in message
    assert "1 unknown: transformer_blocks.0.attn2.to_q.lora_A.weight" in message
    assert "1 of another shape: transformer_blocks.1.ff.net.2.lora_A.weight" in message
    assert "\n" not in message


def test_a_lora_of_a_larger_network_is_refused(tmp_path):
    saved(tmp_path)
    fewer = network(parts.PATCHED | {"num_layers": 2})
    with pytest.raises(ValueError, match=r"12 unknown: transformer_blocks\.2\."):
        load_lora(str(tmp_path), fewer, OTHERS)


@pytest.mark.parametrize("source", ["", "weights/no/such/lora"])
def test_a_missing_lora_says_what_would_work(source):
    with pytest.raises(ValueError, match=r"no LoRA at .* nobody has published one.*switch reference attention off"):
        load_lora(source, network(parts.PATCHED), OTHERS)
