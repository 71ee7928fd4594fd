"""Adapters in the released layout: merged exactly, and named when broken."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from models.mcm.adapter import AdapterError, adapted_modules, merge_adapter
from models.mcm.lent_adapter import lent_adapter
from models.mcm.sampler import predict_noise
from tests.unit.models import tiny_animatediff as tiny

TEACHERS = {"animatediff": tiny.motion_unet, "modelscope": tiny.modelscope_unet}
RANK, ALPHA = 2, 6


def save_adapter(unet, folder: Path) -> dict[str, torch.Tensor]:
    """A random adapter as the authors' script saves it, exact module names and all."""
    names = adapted_modules(unet)
    model = get_peft_model(copy.deepcopy(unet), LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=names))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(str(folder))
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"target_modules": names}))
    return load_file(folder / "adapter_model.safetensors")


@pytest.fixture(scope="session")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    for kind, build in TEACHERS.items():
        save_adapter(build(), folder / kind)
    return folder


@pytest.fixture
def adapter(saved: Path, tmp_path: Path) -> Path:
    """A copy of the AnimateDiff adapter, to be broken."""
    return shutil.copytree(saved / "animatediff", tmp_path / "adapter")


@pytest.mark.parametrize("kind", TEACHERS)
def test_merging_adds_alpha_over_rank_times_the_product(kind, saved):
    unet = TEACHERS[kind]()
    tensors = load_file(saved / kind / "adapter_model.safetensors")
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    student = merge_adapter(unet, saved / kind)
    assert type(student) is type(unet)
    assert student.state_dict().keys() == before.keys()
    adapted = set(adapted_modules(student))
    for name, after in student.state_dict().items():
        module = name.removesuffix(".weight")
        if name.endswith(".weight") and module in adapted:
            down, up = (tensors[f"base_model.model.{module}.lora_{half}.weight"] for half in "AB")
            delta = (up.flatten(1) @ down.flatten(1)).view(after.shape) * ALPHA / RANK
            torch.testing.assert_close(after, before[name] + delta, atol=1e-5, rtol=1e-4)
        else:
            assert torch.equal(after, before[name])
    out = predict_noise(student, torch.randn(1, 4, 2, 8, 8), torch.tensor(500), torch.randn(1, 5, tiny.TEXT_DIM))
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("kind", TEACHERS)
def test_a_lent_adapter_is_the_merged_student_and_leaves_no_trace(kind, saved):
    unet, student = TEACHERS[kind](), merge_adapter(TEACHERS[kind](), saved / kind)
    shared = {name: (parameter, parameter.clone()) for name, parameter in unet.named_parameters()}
    inputs = torch.randn(1, 4, 2, 8, 8), torch.tensor(500), torch.randn(1, 5, tiny.TEXT_DIM)
    with torch.inference_mode():
        alone = predict_noise(unet, *inputs)
        with lent_adapter(unet, saved / kind):
            lent = [predict_noise(unet, *inputs) for _ in range(2)]
        torch.testing.assert_close(lent[0], predict_noise(student, *inputs), atol=1e-5, rtol=1e-4)
        assert torch.equal(lent[0], lent[1])
        assert not torch.allclose(lent[0], alone, atol=1e-3)
        assert torch.equal(predict_noise(unet, *inputs), alone)
    for name, parameter in unet.named_parameters():
        assert parameter is shared[name][0]
        assert torch.equal(parameter, shared[name][1])


def test_an_interrupted_job_gives_the_teacher_back(saved):
    unet = TEACHERS["animatediff"]()
    before = dict(unet.named_parameters())
    inputs = torch.randn(1, 4, 2, 8, 8), torch.tensor(500), torch.randn(1, 5, tiny.TEXT_DIM)
    with pytest.raises(KeyboardInterrupt), torch.inference_mode(), lent_adapter(unet, saved / "animatediff"):
        predict_noise(unet, *inputs)
        raise KeyboardInterrupt
    assert all(parameter is before[name] for name, parameter in unet.named_parameters())
    assert not any(module._forward_pre_hooks for module in unet.modules())


def break_adapter(folder: Path, how: str) -> None:
    tensors = load_file(folder / "adapter_model.safetensors")
    key = "base_model.model.mid_block.attentions.0.proj_in.lora_A.weight"
    if how == "missing half":
        del tensors[key]
    elif how == "missing layer":
        del tensors[key], tensors[key.replace("lora_A", "lora_B")]
    elif how == "unknown layer":
        tensors[key.replace("attentions.0", "attentions.7")] = tensors[key]
        tensors[key.replace("attentions.0", "attentions.7").replace("_A", "_B")] = tensors[key]
    elif how == "wrong shape":
        tensors[key] = tensors[key][:1].clone()
    elif how == "not LoRA":
        tensors["unet.conv_in.weight"] = tensors[key].clone()
    elif how == "NaN":
        tensors[key] = tensors[key] * float("nan")
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, folder / "adapter_model.safetensors")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing half", r"mid_block\.attentions\.0\.proj_in\.lora_A\.weight is missing"),
        ("missing layer", r"mid_block\.attentions\.0\.proj_in\.lora_A\.weight is missing"),
        ("unknown layer", r"mid_block\.attentions\.7\.proj_in names a layer that this teacher does not have"),
        ("wrong shape", r"mid_block\.attentions\.0\.proj_in\.lora_A\.weight is \(1, .*\), not \(2, "),
        ("not LoRA", r"the key 'unet\.conv_in\.weight' is not one of a PEFT LoRA adapter"),
        ("NaN", r"proj_in\.lora_A\.weight holds NaN"),
    ],
)
def test_a_broken_adapter_is_named_with_its_key(how, message, adapter):
    unet = tiny.motion_unet()
    break_adapter(adapter, how)
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    with pytest.raises(AdapterError, match=message):
        merge_adapter(unet, adapter)
    assert all(torch.equal(tensor, before[name]) for name, tensor in unet.state_dict().items())


def test_an_adapter_of_the_other_teacher_is_refused(saved):
    with pytest.raises(AdapterError, match="names a layer that this teacher does not have"):
        merge_adapter(tiny.motion_unet(), saved / "modelscope")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"There is no adapter_config\.json in"),
        ("{", r"adapter_config\.json is not valid JSON"),
        ('{"peft_type": "LORA", "r": 2, "target_modules": []}', r"adapter_config\.json lacks the key 'lora_alpha'"),
        ('{"peft_type": "IA3", "r": 2, "lora_alpha": 2, "target_modules": []}', "peft_type is 'IA3'; only LORA"),
    ],
)
def test_a_broken_config_is_named(content, message, adapter):
    config = adapter / "adapter_config.json"
    config.unlink() if content is None else config.write_text(content)
    with pytest.raises(AdapterError, match=message):
        merge_adapter(tiny.motion_unet(), adapter)


def test_a_cut_file_is_named(adapter):
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(AdapterError, match=r"adapter_model\.safetensors is damaged"):
        merge_adapter(tiny.motion_unet(), adapter)
