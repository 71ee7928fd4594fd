"""Networks of a few kilobytes with everything a real one has: blocks, tied weights, kept and own buffers, a cache."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.method import Component, OnStep, Recipe


class Tower(nn.Module):
    """`width` x `width` blocks; `decode` is a way in that does not pass through `forward`."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(4, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.readout = nn.Linear(width, 4, bias=False)
        self.readout.weight = self.embed.weight
        self.register_buffer("kept", torch.zeros(width))
        self.register_buffer("positions", torch.linspace(0, 1, width), persistent=False)
        self.use_tiling = False

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.embed(tokens) + self.positions + self.kept
        for block in self.blocks:
            hidden = torch.tanh(block(hidden))
        return self.readout(hidden)

    def decode(self, tokens: Tensor) -> Tensor:
        hidden = self.embed(tokens) + self.positions + self.kept
        for block in self.blocks:
            hidden = torch.tanh(block(hidden))
        return self.readout(hidden)


TOKENS = torch.tensor([[0, 1, 2, 3]])


class Holder:
    """A pipeline that computes with what it is told to."""

    def __init__(self, **parts: Any) -> None:
        self.parts = parts

    def __call__(self, request: Any, on_step: OnStep) -> list[Any]:
        return []

    @torch.inference_mode()
    def compute(self, name: str) -> Tensor:
        return self.parts[name].decode(TOKENS)


class Refusing(Holder):
    """A pipeline that cannot be made."""

    def __init__(self, **parts: Any) -> None:
        raise RuntimeError("constructor")


HERE = __name__
FILE = "diffusion_pytorch_model.safetensors"


def save_tower(folder: Path, seed: int, width: int = 16, blocks: int = 3) -> Tower:
    """A tower with weights of its own, written in diffusers' layout."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    tower = Tower(width, blocks)
    for parameter in tower.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    tower.kept.data = torch.randn(width, generator=generator)
    state = {name: tensor for name, tensor in tower.state_dict().items() if name != "readout.weight"}
    save_file(state, folder / FILE)
    (folder / "config.json").write_text(json.dumps({"width": width, "blocks": blocks}))
    return tower.eval()


def save_difference(folder: Path, base: Path, seed: int) -> Tower:
    """A tower made from that in `base`: new first block and embedding, of which alone the files in `folder` tell."""
    folder.mkdir(parents=True)
    shutil.copy(base / "config.json", folder)
    generator = torch.Generator().manual_seed(seed)
    state = load_file(base / FILE)
    new = {name: torch.randn(state[name].shape, generator=generator) for name in ("embed.weight", "blocks.0.weight")}
    save_file(new, folder / FILE)
    tower = Tower(**json.loads((base / "config.json").read_text()))
    tower.load_state_dict(state | new | {"readout.weight": new["embed.weight"]})
    return tower.eval()


def tower_recipe(method: str, pipeline: str = "Holder", **stages: tuple[Any, ...]) -> Recipe:
    """tower_recipe("one", text=(folder, ("encode",)), made=(folder, ("denoise",), base), ...)."""
    components = tuple(
        Component(name, f"{HERE}:Tower", str(folder), where, dtype="float32", base="".join(map(str, base)))
        for name, (folder, where, *base) in stages.items()
    )
    return Recipe(method, f"{HERE}:{pipeline}", components)
