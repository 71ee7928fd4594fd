"""MCM's released adapters (`yhzhai/mcm`): LoRA in PEFT's layout, checked by name, merged into the teacher by peft.

Not loaded through diffusers: `load_lora_weights` does nothing at all with these names, `load_lora_adapter` fails in
the motion modules, and UNet3DConditionModel has neither (spec_cvd_mcm.md 4.4, measured on diffusers 0.42.1).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
PREFIX = "base_model.model."

TARGETS = (
    "to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "conv1", "conv2",
    "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv", "time_emb_proj",
)  # fmt: skip
"""Ends of the names of adapted modules, in both teachers."""

Network = TypeVar("Network", bound=nn.Module)


class AdapterError(ValueError):
    """An adapter that does not fit; the message names the file and the key."""


def adapted_modules(unet: nn.Module) -> list[str]:
    """Names of the modules MCM adapts: by their ends, without ModelScope's temporal convolutions."""
    return [
        name for name, _ in unet.named_modules() if name.endswith(TARGETS) and not ("temp" in name and "conv" in name)
    ]


def merge_adapter(unet: Network, folder: str | Path) -> Network:
    """The student: `unet` with the adapter's change added to its weights (in place), W + alpha / r * B @ A."""
    folder = Path(folder)
    check_adapter(unet, folder)
    return PeftModel.from_pretrained(unet, str(folder)).merge_and_unload()  # pyright: ignore -- any nn.Module works


def add_adapter(unet: nn.Module, rank: int, alpha: int | None = None) -> PeftModel:
    """A new adapter on the teacher, for training; zero at the start. `disable_adapter()` of the result is the teacher.

    diffusers' motion modules call their projections by keyword, which peft's layers do not take: a hook puts that
    right.
    """
    config = LoraConfig(r=rank, lora_alpha=alpha or rank, lora_dropout=0.0, target_modules=adapted_modules(unet))
    model = get_peft_model(unet, config)  # pyright: ignore[reportArgumentType] -- any nn.Module works
    for name, module in model.named_modules():
        if name.endswith(("proj_in", "proj_out")):
            module.register_forward_pre_hook(_input_by_position, with_kwargs=True)
    return model


def _input_by_position(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return ((kwargs.pop("input"), *args), kwargs) if "input" in kwargs else (args, kwargs)


def check_adapter(unet: nn.Module, folder: Path) -> None:
    """Every tensor of the adapter has a module of the right size and its other half, and every target has tensors."""
    config, tensors = read_adapter(folder)
    where = f"{folder.name}/{WEIGHTS_FILE}"
    halves: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, half = key.removeprefix(PREFIX).rpartition(".lora_")
        if not key.startswith(PREFIX) or half not in ("A.weight", "B.weight"):
            raise AdapterError(f"{where}: the key {key!r} is not one of a PEFT LoRA adapter.")
        halves.setdefault(name, {})[half[0]] = tensor
    modules = dict(unet.named_modules())
    targets = config["target_modules"]
    if unknown := sorted(halves.keys() - modules.keys()):
        raise AdapterError(
            f"{where}: the key {PREFIX}{unknown[0]} names a layer that this teacher does not have "
            f"({len(unknown)} of {len(halves)} layers). It may be an adapter of the other teacher."
        )
    for name, pair in halves.items():
        if pair.keys() != {"A", "B"}:
            missing = "B" if "A" in pair else "A"
            raise AdapterError(f"{where}: {PREFIX}{name}.lora_{missing}.weight is missing.")
        _check_shapes(where, name, pair["A"], pair["B"], modules[name], config["r"])
        if isinstance(targets, list) and not any(name == t or name.endswith(f".{t}") for t in targets):
            raise AdapterError(f"{where}: {PREFIX}{name} is not among the target modules of {CONFIG_FILE}.")
    if isinstance(targets, list):
        named = [target for target in targets if target in modules and target not in halves]
        if named:
            raise AdapterError(f"{where}: {PREFIX}{named[0]}.lora_A.weight is missing.")


def read_adapter(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(adapter_config.json, tensors) of a folder in PEFT's layout."""
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise AdapterError(f"There is no {name} in {folder.name!r}. Give a folder of a PEFT adapter.")
    try:
        config = json.loads((folder / CONFIG_FILE).read_text())
    except ValueError as error:
        raise AdapterError(f"{folder.name}/{CONFIG_FILE} is not valid JSON: {error}.") from None
    for key in ("peft_type", "r", "lora_alpha", "target_modules"):
        if key not in config:
            raise AdapterError(f"{folder.name}/{CONFIG_FILE} lacks the key {key!r}.")
    if config["peft_type"] != "LORA":
        raise AdapterError(f"{folder.name}/{CONFIG_FILE}: peft_type is {config['peft_type']!r}; only LORA is read.")
    try:
        return config, load_file(folder / WEIGHTS_FILE)
    except SafetensorError as error:
        raise AdapterError(f"{folder.name}/{WEIGHTS_FILE} is damaged: {error}. Download it again.") from None


def _check_shapes(where: str, name: str, down: Tensor, up: Tensor, module: nn.Module, rank: int) -> None:
    weight = module.weight
    assert isinstance(weight, Tensor)
    expected = {"A": (rank, *weight.shape[1:]), "B": (len(weight), rank, *[1] * (weight.dim() - 2))}
    for half, tensor in (("A", down), ("B", up)):
        if tuple(tensor.shape) != expected[half]:
            raise AdapterError(
                f"{where}: {PREFIX}{name}.lora_{half}.weight is {tuple(tensor.shape)}, not {expected[half]}."
            )
        if not torch.isfinite(tensor).all():
            raise AdapterError(f"{where}: {PREFIX}{name}.lora_{half}.weight holds NaN or infinite values.")
