"""Loading, switching and a step with synthetic weights of a CogVideoX network's true shapes.

    python -m tests.benchmark.registry_gpu            CogVideoX-5B: 11 GB of disk, a GPU
    python -m tests.benchmark.registry_gpu --tiny     the same with a tiny network on the CPU, to see that it runs

Each row: what, measured, target. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from models.method import Component, Recipe
from studio.registry import Registry
from studio.registry.options import Options
from studio.registry.shells import build_module
from studio.registry.tuning import compile_blocks
from tests.benchmark.registry import take, timed

FULL = {
    "num_attention_heads": 48, "attention_head_dim": 64, "num_layers": 42, "in_channels": 16, "out_channels": 16,
    "text_embed_dim": 4096, "use_rotary_positional_embeddings": True,
}  # fmt: skip
TINY = {
    "num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 2, "text_embed_dim": 32, "time_embed_dim": 8,
    "sample_width": 8, "sample_height": 8, "sample_frames": 5,
}  # fmt: skip
FLOOR_SECONDS = 0.84
"""Of a guided step at 49x480x720: 664 TFLOP at 790 TFLOP/s, a bfloat16 product measured on an H200."""


class Parts:
    """A pipeline that only holds what it was given."""

    def __init__(self, **parts: Any) -> None:
        self.__dict__.update(parts)

    def __call__(self, request: Any, on_step: Any) -> list[Any]:
        return []


def full_size(folder: Path, config: dict[str, Any], device: str, size: tuple[int, int, int]) -> dict[str, float]:
    """Load, switch and step with synthetic weights of true shapes; `size` in latents: frames, height, width."""
    make_weights(folder / "transformer", config)
    part = Component("transformer", "diffusers:CogVideoXTransformer3DModel", str(folder / "transformer"))
    recipe = Recipe("synthetic", f"{Parts.__module__}:Parts", (part,))
    registry: Any = Registry(device)
    rows: dict[str, float] = {}
    allocated = torch.cuda.memory_allocated if device == "cuda" else lambda: 0
    before = allocated()
    rows["first load, s"] = timed(lambda: take(registry, recipe))
    rows["bytes of ledger over allocated"] = registry.status()["bytes"] / max(allocated() - before, 1)
    for resident in registry.memory.residents.values():
        registry.memory.evict(resident)
    rows["switch from this machine's memory, s"] = timed(lambda: take(registry, recipe))
    with registry.acquire(recipe) as pipeline, torch.no_grad():
        call = example_call(pipeline.transformer, *size)
        rows["step, s"] = _median_step(call, device)
        rows["peak beside weights, GiB"] = _peak(call, device)
    if device != "cuda":
        return rows
    compiled = Registry(device, options=Options(compile=True))
    with compiled.acquire(recipe) as pipeline, torch.no_grad():
        rows["step compiled, s"] = _median_step(example_call(pipeline.transformer, *size), device)  # type: ignore[attr-defined]
    return rows


def example_call(network: Any, frames: int = 0, height: int = 0, width: int = 0, batch: int = 2) -> Callable[[], Any]:
    """One step's call of a CogVideoX network with random input of the right shapes."""
    config, device, dtype = network.config, network.device, network.dtype
    frames = frames or 4 * (config.patch_size_t or 1)
    height, width = height or config.sample_height, width or config.sample_width
    draw = lambda *shape: torch.randn(*shape, device=device, dtype=dtype)  # noqa: E731
    tokens = -(-frames // (config.patch_size_t or 1)) * (height // config.patch_size) * (width // config.patch_size)
    angles = draw(tokens, config.attention_head_dim).float()
    values = {
        "hidden_states": draw(batch, frames, config.in_channels, height, width),
        "encoder_hidden_states": draw(batch, config.max_text_seq_length, config.text_embed_dim),
        "timestep": torch.full((batch,), 500.0, device=device),
        "image_rotary_emb": (angles.cos(), angles.sin()) if config.use_rotary_positional_embeddings else None,
    }
    return lambda: network(**values)


def make_weights(folder: Path, config: dict[str, Any]) -> None:
    """Random weights of a CogVideoX transformer in diffusers' layout."""
    network: Any = build_module("diffusers:CogVideoXTransformer3DModel", config)
    assert compile_blocks(network, backend="eager"), "its blocks are known"
    tensors = {
        name: torch.randn(tensor.shape, dtype=torch.bfloat16) * 0.02 for name, tensor in network.state_dict().items()
    }
    folder.mkdir(parents=True)
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors")
    settings = {name: value for name, value in network.config.items() if not name.startswith("_")}
    (folder / "config.json").write_text(json.dumps(settings))


def _median_step(call: Callable[[], Any], device: str) -> float:
    def step() -> None:
        call()
        if device == "cuda":
            torch.cuda.synchronize()

    for _ in range(2):
        step()
    return statistics.median(timed(step) for _ in range(5))


def _peak(call: Callable[[], Any], device: str) -> float:
    if device != "cuda":
        return 0.0
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return (torch.cuda.max_memory_allocated() - before) / 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tiny", action="store_true")
    tiny = parser.parse_args().tiny
    config, device, size = (TINY, "cpu", (5, 8, 8)) if tiny else (FULL, "cuda", (13, 60, 90))
    with tempfile.TemporaryDirectory() as folder:
        rows = full_size(Path(folder), config, device, size)
    if not tiny:
        rows["step over the arithmetic floor"] = rows["step, s"] / FLOOR_SECONDS
    for what, measured in rows.items():
        print(f"{what:70s} {measured}")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
