"""The trained part of CustomVideoX: low-rank updates of the network's linear layers, and one vector for the picture.

Files are in diffusers' layout, `pytorch_lora_weights.safetensors` with `transformer.transformer_blocks.0.attn1.to_q.
lora_A.weight`; PEFT's own file with its `adapter_config.json` loads too. The network's weights stay as they are, since
other methods share them: a job holds the updates beside them, or sums of both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from models.common.resting import in_full
from models.method import REPOSITORY

FILES = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")
PREFIXES = ("transformer.", "base_model.model.", "diffusion_model.")
TYPE = "reference_type"
METADATA = "lora_adapter_metadata"  # where diffusers keeps rank and alpha inside the file
# our name of a layer -> its place in a block; attention first, as in CogVideoX's own fine-tuning
LAYERS = {
    "to_q": "attn1.to_q",
    "to_k": "attn1.to_k",
    "to_v": "attn1.to_v",
    "to_out": "attn1.to_out.0",
    "ff_in": "ff.net.0.proj",
    "ff_out": "ff.net.2",
}
LARGEST_ALPHA = 1e6  # any larger is a mistake
ATTENTION = ("to_q", "to_k", "to_v", "to_out")


@dataclass(frozen=True)
class LoraSettings:
    """What a LoRA was trained as. `rows`: where it acts; `mask`: what the picture's rows see (reference_attention)."""

    rank: int = 128
    alpha: float = 128.0
    layers: tuple[str, ...] = ATTENTION
    rows: Literal["all", "reference"] = "all"
    mask: Literal["cached", "joint"] = "cached"


class LowRank(nn.Module):
    """scale * up(down(x)); starts as nothing, since `up` is zero."""

    def __init__(self, layer: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.down = nn.Parameter(torch.empty(rank, layer.in_features, dtype=torch.float32))
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank, dtype=torch.float32))
        nn.init.normal_(self.down, std=layer.in_features**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """The update of `layer(x)`, [..., out_features]."""
        return nn.functional.linear(nn.functional.linear(x, self.down.to(x.dtype)), self.up.to(x.dtype)) * self.scale

    def merged(self, layer: nn.Linear) -> Tensor:
        """The layer's weight with the update in it, a new tensor."""
        weight = in_full(layer.weight, self.up.dtype)
        return weight + (self.up @ self.down * self.scale).to(weight)


class ReferenceLora(nn.Module):
    """All updates of a network, by block, and the vector added to the picture's tokens."""

    def __init__(self, blocks: Iterable[nn.Module], dim: int, settings: LoraSettings) -> None:
        super().__init__()
        self.settings = settings
        scale = settings.alpha / settings.rank
        self.blocks = nn.ModuleList(
            nn.ModuleDict({n: LowRank(_linear(block, n), settings.rank, scale) for n in settings.layers})
            for block in blocks
        )
        self.reference_type = nn.Parameter(torch.zeros(dim))

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor under its name in diffusers' layout."""
        named = {f"transformer.{TYPE}": self.reference_type.detach()}
        for index, block in enumerate(self.blocks):
            for name, update in block.items():  # pyright: ignore[reportCallIssue]
                place = f"transformer.transformer_blocks.{index}.{LAYERS[name]}"
                named[f"{place}.lora_A.weight"] = update.down.detach()
                named[f"{place}.lora_B.weight"] = update.up.detach()
        return named

    def save(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the file; what it was trained as goes into its metadata."""
        folder.mkdir(parents=True, exist_ok=True)
        said = asdict(self.settings)
        metadata = {
            "transformer.r": said.pop("rank"),
            "transformer.lora_alpha": said.pop("alpha"),
            "transformer.target_modules": [LAYERS[name] for name in said.pop("layers")],
        } | {f"customvideox.{name}": value for name, value in said.items()}
        tensors = {name: tensor.to(dtype).contiguous().cpu() for name, tensor in self.tensors().items()}
        save_file(tensors, folder / FILES[0], {"format": "pt", METADATA: json.dumps(metadata)})


@dataclass
class LoraFile:
    """What is in a LoRA's file: tensors without their prefix, and what its metadata says."""

    tensors: dict[str, Tensor]
    metadata: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, source: str) -> LoraFile:
        """From a folder or safetensors file, absolute or below the repository. ValueError where there is none."""
        place = REPOSITORY / Path(source).expanduser()
        path = place if place.is_file() else next((place / f for f in FILES if (place / f).is_file()), None)
        if not source or path is None:
            raise ValueError(
                f"There is no LoRA at {source!r}, and nobody has published one for CustomVideoX. Train one with python"
                " -m models.customvideox.train and name its folder in the preset, or switch reference attention off."
            )
        beside = path.parent / "adapter_config.json"
        try:
            with safe_open(path, "pt") as file:
                tensors = {_bare(name): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- not a dict
                metadata = dict(json.loads((file.metadata() or {}).get(METADATA, "{}")))
            if beside.is_file():  # PEFT
                config = dict(json.loads(beside.read_text(encoding="utf-8")))
                metadata = {f"transformer.{key}": value for key, value in config.items()} | metadata
        except (SafetensorError, OSError, ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"The LoRA at {source!r} is damaged, or no safetensors file. Copy it again.") from error
        return cls(tensors, metadata)

    def settings(self, default: LoraSettings) -> LoraSettings:
        """What the file says about itself; `default` where it says nothing. ValueError where it makes no sense."""
        ranks = {name: t.shape[0] for name, t in self.tensors.items() if name.endswith(".lora_A.weight") and t.ndim}
        found = tuple(n for n, place in LAYERS.items() if any(f".{place}.lora_A." in f".{name}" for name in ranks))
        rank = next(iter(ranks.values()), default.rank)
        alpha = self.metadata.get("transformer.lora_alpha", rank)
        rows = self.metadata.get("customvideox.rows", default.rows)
        mask = self.metadata.get("customvideox.mask", default.mask)
        if not isinstance(alpha, int | float) or not 0 < alpha < LARGEST_ALPHA or rank < 1:
            raise ValueError(f"The LoRA has rank {rank} and alpha {alpha!r:.40}; both must be above 0.")
        if rows not in ("all", "reference") or mask not in ("cached", "joint"):
            raise ValueError(f"The LoRA acts on rows {rows!r:.40} with mask {mask!r:.40}, which is unknown here.")
        return LoraSettings(rank, float(alpha), found or default.layers, rows, mask)


def load_lora(source: str, network: Any, default: LoraSettings) -> ReferenceLora:
    """A LoRA for `network`. ValueError lists every missing, unknown and misshapen tensor.

    A file without the vector of the picture's tokens gets a zero one: other trainers do not write it.
    """
    file = LoraFile.read(source)
    lora = ReferenceLora(network.transformer_blocks, network.hidden_size, file.settings(default))
    wanted = {_bare(name): tensor for name, tensor in lora.tensors().items()}
    given = {TYPE: wanted[TYPE]} | file.tensors
    problems = {
        "missing": sorted(wanted.keys() - given.keys()),
        "unknown": sorted(given.keys() - wanted.keys()),
        "of another shape": sorted(n for n in wanted.keys() & given.keys() if wanted[n].shape != given[n].shape),
    }
    if any(problems.values()):
        listed = "; ".join(f"{len(names)} {kind}: {_some(names)}" for kind, names in problems.items() if names)
        raise ValueError(
            f"The LoRA at {source} does not belong to this network: {listed}. It must be one of CustomVideoX's layout,"
            " see models/customvideox/README.md."
        )
    with torch.no_grad():
        for name, tensor in wanted.items():  # views of the parameters
            tensor.copy_(given[name])
    return lora.eval().requires_grad_(False)


def _some(names: list[str], shown: int = 3) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _bare(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _linear(block: nn.Module, name: str) -> nn.Linear:
    return block.get_submodule(LAYERS[name])  # pyright: ignore[reportReturnType]
