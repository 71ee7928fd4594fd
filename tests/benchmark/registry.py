"""What the shared registry saves and costs, as ratios inside one run; on a GPU also with networks of full size.

    python -m tests.benchmark.registry            the pocket presets on a CPU
    python -m tests.benchmark.registry --gpu      synthetic weights of CogVideoX-5B's shapes (11 GB of disk, a GPU)

Each row: what, measured, target. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from models.method import Component, Recipe
from studio.presets import Preset, load_presets
from studio.registry import Registry
from studio.registry.options import Options
from studio.registry.shells import build_module, watch
from studio.registry.tuning import compile_blocks

FULL = {
    "num_attention_heads": 48, "attention_head_dim": 64, "num_layers": 42, "in_channels": 16, "out_channels": 16,
    "text_embed_dim": 4096, "use_rotary_positional_embeddings": True,
}  # fmt: skip
FLOOR_SECONDS = (
    0.84  # of a guided step at 49x480x720: 664 TFLOP at 790 TFLOP/s, a bfloat16 product measured on an H200
)


class Parts:
    """A pipeline that only holds what it was given."""

    def __init__(self, **parts: Any) -> None:
        self.__dict__.update(parts)

    def __call__(self, request: Any, on_step: Any) -> list[Any]:
        return []


def shared_bytes(presets: list[Preset]) -> tuple[int, int]:
    """Bytes of all methods resident in one registry, and in one registry each."""
    together = Registry("cpu")
    apart = 0
    for preset in presets:
        alone = Registry("cpu")
        for registry in (together, alone):
            with registry.acquire(preset.recipe):
                pass
        apart += alone.status()["bytes"]
    return together.status()["bytes"], apart


def switch_and_reload(preset: Preset, rounds: int = 15) -> tuple[float, float]:
    """Median seconds to take a method whose weights are in memory, and to take it from disk."""
    registry = Registry("cpu")
    with registry.acquire(preset.recipe):
        pass
    warm = [_timed(lambda: _take(registry, preset)) for _ in range(rounds)]
    cold = []
    for _ in range(5):
        registry.unload()
        cold.append(_timed(lambda: _take(registry, preset)))
    return statistics.median(warm), statistics.median(cold)


def step_overhead(preset: Preset, rounds: int = 60) -> float:
    """Median of one network call as a job makes it over the same call without the registry's ears, in turns."""
    registry: Any = Registry("cpu")
    ratios = []
    with registry.acquire(preset.recipe) as pipeline, torch.no_grad():
        network = getattr(pipeline, "transformer", None) or pipeline.unet
        call = example_call(network)
        handles = registry._leases[id(pipeline)]._handles
        part = next(part for part in registry._leases[id(pipeline)].parts if part.shell.module is network)
        for handle in handles:
            handle.remove()
        for index in range(rounds + 5):
            seconds = {}
            for heard in (True, False) if index % 2 else (False, True):
                ears = watch(network, lambda: registry._leases[id(pipeline)].use(part)) if heard else []
                start = time.process_time()
                call()
                seconds[heard] = time.process_time() - start
                for ear in ears:
                    ear.remove()
            ratios.append(seconds[True] / seconds[False])
    return statistics.median(ratios[5:])


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


def full_size(folder: Path, config: dict[str, Any], device: str, size: tuple[int, int, int]) -> dict[str, float]:
    """Load, switch and step with synthetic weights of true shapes; `size` in latents: frames, height, width."""
    make_weights(folder / "transformer", config)
    part = Component("transformer", "diffusers:CogVideoXTransformer3DModel", str(folder / "transformer"))
    recipe = Recipe("synthetic", f"{__name__}:Parts", (part,))
    registry: Any = Registry(device)
    rows: dict[str, float] = {}
    allocated = torch.cuda.memory_allocated if device == "cuda" else lambda: 0
    before = allocated()
    rows["first load, s"] = _timed(lambda: _take(registry, recipe))
    rows["bytes of ledger over allocated"] = registry.status()["bytes"] / max(allocated() - before, 1)
    for resident in registry.memory.residents.values():
        registry.memory.evict(resident)
    rows["switch from this machine's memory, s"] = _timed(lambda: _take(registry, recipe))
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


def _take(registry: Registry, what: Preset | Recipe) -> None:
    with registry.acquire(what.recipe if isinstance(what, Preset) else what):
        pass


def _timed(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _median_step(call: Callable[[], Any], device: str) -> float:
    def step() -> None:
        call()
        if device == "cuda":
            torch.cuda.synchronize()

    for _ in range(2):
        step()
    return statistics.median(_timed(step) for _ in range(5))


def _peak(call: Callable[[], Any], device: str) -> float:
    if device != "cuda":
        return 0.0
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return (torch.cuda.max_memory_allocated() - before) / 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="the GPU's rows with a tiny network on the CPU")
    options = parser.parse_args()
    rows: dict[str, Any] = {}
    if options.gpu or options.tiny:
        tiny = {"num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 2, "text_embed_dim": 32,
                "time_embed_dim": 8, "sample_width": 8, "sample_height": 8, "sample_frames": 5}  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            rows = full_size(Path(folder), tiny if options.tiny else FULL, "cpu" if options.tiny else "cuda",
                             (5, 8, 8) if options.tiny else (13, 60, 90))  # fmt: skip
        if not options.tiny:
            rows["step over the arithmetic floor"] = rows["step, s"] / FLOOR_SECONDS
    else:
        presets = [preset for preset in load_presets().values() if preset.name == "pocket"]
        together, apart = shared_bytes(presets)
        warm, cold = switch_and_reload(presets[0])
        rows = {
            "methods": [preset.method.name for preset in presets],
            "bytes shared over independent (five methods: at most 0.70)": round(together / apart, 3),
            "warm switch, ms": round(warm * 1000, 2),
            "reload, ms": round(cold * 1000, 2),
            "reload over warm switch (at least 10)": round(cold / warm, 1),
            "step with the registry over without (at most 1.01)": round(step_overhead(presets[-1]), 4),
        }
    for what, measured in rows.items():
        print(f"{what:70s} {measured}")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
