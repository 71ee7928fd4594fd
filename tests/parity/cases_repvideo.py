"""RepVideo: conversion, network, cache, schedule, sampler and VAE decode against the authors' code."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import AutoencoderKLCogVideoX
from torch import Tensor

from models.common.cogvideox.guidance import guidance_weights
from models.common.cogvideox.latents import decode_latents, to_uint8
from models.common.cogvideox.vae_conversion import convert_tensors as convert_vae_tensors
from models.repvideo.convert import config_from_upstream, convert_tensors, network_sources
from models.repvideo.sampler import DpmSampler, NoiseTable
from models.repvideo.transformer import RepVideoTransformer3DModel
from tests.parity.case import Case, Errors, Measure, level_error, read_json, read_tensors, relative_error


def load_network(goldens: Path) -> RepVideoTransformer3DModel:
    """The goldens' network, through our conversion of its SAT checkpoint."""
    config = config_from_upstream(read_json(goldens / "repvideo/config.json")["network_params_upstream"])
    network = RepVideoTransformer3DModel(**config).eval()
    network.load_state_dict(convert_tensors(read_tensors(goldens / "repvideo/weights_sat.safetensors"), config))
    return network


def forward(goldens: Path) -> Errors:
    """Every output of forward.safetensors: timesteps, fewer frames, one frame, no text, other gates."""
    network, golden = load_network(goldens), read_tensors(goldens / "repvideo/forward.safetensors")
    part = read_json(goldens / "repvideo/config.json")["tiny"]["part_frames"]
    errors: dict[str, float] = {}
    gates = network.learnable_gating.detach().clone()
    for name, expected in golden.items():
        kind, _, case = name.partition(".")
        if not kind.startswith("y") or kind == "y_layers":
            continue
        x, text = golden["x"], golden["context"]
        x = {"y_part": x[:, :part], "y_T1": x[:, :1]}.get(kind, x)
        text = torch.zeros_like(text) if kind == "y_uc" else text
        if kind.startswith("y_gate"):
            network.learnable_gating.data.fill_(float(kind.removeprefix("y_gate").replace("p", ".")))
        output = network(x, text, golden[f"timesteps.{case}"], return_dict=False)[0]
        network.learnable_gating.data.copy_(gates)
        errors[name] = relative_error(output, expected)
        if kind == "y_gate0":
            plain = network(x, text, golden[f"timesteps.{case}"], return_dict=False, feature_cache=False)[0]
            errors[f"{name} cache off"] = relative_error(plain, expected)
    return errors


def layers(goldens: Path) -> Errors:
    """Input (after the mix) and output of every block, batch item 0 alone."""
    network, golden = load_network(goldens), read_tensors(goldens / "repvideo/forward.safetensors")
    seen: dict[str, Tensor] = {}

    def record(layer: int):
        def hook(_: object, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
            video, text = inputs[0], inputs[1]
            seen[f"layer_in.{layer:02d}"] = torch.cat([text, video], 1)
            seen[f"layer_out.{layer:02d}"] = torch.cat([output[1], output[0]], 1)
            seen["emb"] = inputs[2]

        return hook

    for layer, block in enumerate(network.transformer_blocks):
        block.register_forward_hook(record(layer))
    name, case = next((n, n.partition(".")[2]) for n in golden if n.startswith("y_layers."))
    timestep = torch.tensor([float(case.removeprefix("t").replace("p", "."))])
    output = network(golden["x"][:1], golden["context"][:1], timestep, return_dict=False)[0]
    wanted = [n for n in golden if n.startswith(("layer_in.", "layer_out."))] + ["emb"]
    return {n: relative_error(seen[n], golden[n]) for n in wanted} | {name: relative_error(output, golden[name])}


def schedule_table(goldens: Path) -> Errors:
    golden = read_tensors(goldens / "repvideo/schedule_table.safetensors")
    shift = _snr_shift(goldens)
    return {n: relative_error(NoiseTable.make(len(v), snr_shift=shift).rescaled(), v) for n, v in golden.items()}


def sampler(goldens: Path) -> Errors:
    """Every recorded run, from its initial noise and its noise draws, through our network, guidance and sampler."""
    network = load_network(goldens)
    config = read_json(goldens / "repvideo/config.json")
    errors: dict[str, float] = {}
    for run, settings in config["sampler_runs"].items():
        golden = read_tensors(goldens / f"repvideo/{run}.safetensors")
        for label, actual in _replay(network, golden, settings, config).items():
            if label in golden:
                errors[f"{run}.{label}"] = relative_error(actual, golden[label])
    return errors


def _replay(network: RepVideoTransformer3DModel, golden: dict[str, Tensor], settings: dict, config: dict):
    steps = settings["num_steps"]
    solver = DpmSampler(NoiseTable.make(snr_shift=_shift(config)), steps)
    guider = config["sampler_config"]["params"]["guider_config"]["params"]
    assert guider["exp"] == 5, "the guidance curve's exponent is 5 in every known configuration"
    weights = guidance_weights("dynamic", float(guider["scale"]), solver.timesteps, settings["guider_num_steps"])
    draws: Iterator[Tensor] = iter(golden["noise_used"])
    text = torch.cat([golden["context_uncond"], golden["context_cond"]])
    x = golden["init_noise"]
    outputs, denoised, trail = [], [], []
    for i, t in enumerate(solver.timesteps):
        v = network(torch.cat([x, x]), text, torch.tensor([float(t)] * 2), return_dict=False)[0]
        x0 = solver.denoised(i, x, v[:1] + weights[i] * (v[1:] - v[:1]))
        x = solver.step(i, x, x0, lambda: next(draws)[None])
        outputs.append(v)
        denoised.append(x0[0])
        trail.append(x[0])
    actual = {
        "timesteps": torch.tensor(solver.timesteps),
        "guidance_scale": torch.tensor(weights, dtype=torch.float64),
        "alpha_cumprod_sqrt": solver.levels,
        "alpha_cumprod_sqrt_quantized": solver.denoiser_levels,
        "quantized_index": solver.table_index,
        "model_output": torch.stack(outputs),
        "denoised": torch.stack(denoised),
        "x_after_step": torch.stack(trail),
        "samples": x,
    }
    for name in golden:  # a long run keeps only its first and last steps
        if name.startswith("x_after_step_first"):
            actual[name] = torch.stack(trail[: len(golden[name])])
        elif name.startswith("x_after_step_last"):
            actual[name] = torch.stack(trail[-len(golden[name]) :])
    return actual


def _shift(config: dict) -> float:
    return config["sampler_config"]["params"]["discretization_config"]["params"]["shift_scale"]


def _snr_shift(goldens: Path) -> float:
    return _shift(read_json(goldens / "repvideo/config.json"))


def procedural_tensor(name: str, shape: list[int], tag: str) -> Tensor:
    """A parameter of the goldens' networks whose weights are not stored (goldens README, 'Procedural weights')."""
    state = np.random.RandomState(zlib.crc32((tag + name).encode()))
    u = 2 * state.random_sample(int(np.prod(shape))).reshape(shape) - 1
    if len(shape) >= 2:
        fan = shape[-1] if name.endswith("latents") else int(np.prod(shape[1:]))
        u = u * np.sqrt(3 / fan)
    else:
        u = 1 + 0.3 * u if name.endswith("weight") else 0.1 * u
    return torch.from_numpy(u.astype(np.float32))


def vae_decode(goldens: Path) -> Errors:
    """The SAT VAE's decoder under our names, decoded as the pipeline does, and its uint8 frames."""
    config = read_json(goldens / "repvideo/vae_config.json")
    golden = read_tensors(goldens / "repvideo/vae_decode.safetensors")
    params = config["decoder_params"]
    channels = [params["ch"] * m for m in params["ch_mult"]]
    vae: Any = AutoencoderKLCogVideoX(
        in_channels=params["in_channels"],
        out_channels=params["out_ch"],
        down_block_types=("CogVideoXDownBlock3D",) * len(channels),  # pyright: ignore[reportArgumentType]
        up_block_types=("CogVideoXUpBlock3D",) * len(channels),  # pyright: ignore[reportArgumentType]
        block_out_channels=tuple(channels),  # pyright: ignore[reportArgumentType]
        latent_channels=params["z_channels"],
        layers_per_block=params["num_res_blocks"],
    ).eval()
    weights = {n: procedural_tensor(n, s, config["weight_tag"]) for n, s in config["decoder_keys"].items()}
    sums = {n: weights[n].double().sum() for n in config["weight_sums"]}
    errors: dict[str, float | Measure] = {
        "procedural weights": max(
            relative_error(sums[n], torch.tensor(s, dtype=torch.float64)) for n, s in config["weight_sums"].items()
        )
    }
    vae.load_state_dict(convert_vae_tensors(weights, vae, only="decoder."), strict=False)
    latents = golden["z"].transpose(1, 2) * vae.config.scaling_factor  # the goldens' z is already unscaled
    video = decode_latents(vae, latents)
    errors["video"] = relative_error(video, golden["video"])
    frames = torch.from_numpy(to_uint8(video, rounding="truncate")[0])
    errors["video_uint8"] = level_error(frames, golden["video_uint8"])
    return errors


def manifest(goldens: Path) -> Errors:
    """The released network's names and shapes on meta: nothing missing, nothing left over, every source right."""
    from models.repvideo.convert import RELEASED_CONFIG

    shapes = read_json(goldens / "manifests/repvideo_sat.json")
    table = read_json(goldens / "manifests/repvideo_sat_to_diffusers_map.json")
    tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    renamed = network_sources(tensors, RELEASED_CONFIG)  # raises on any missing, unexpected or misshapen name
    wanted = {new: old for old, entry in table.items() for new in entry["to"] or []}
    wrong = [new for new, old in wanted.items() if renamed.sources.get(new, ("",))[0] != old]
    extra = renamed.sources.keys() - wanted.keys() - {"learnable_gating"}
    return {"names with another source": float(len(wrong)), "names not in the map": float(len(extra))}


_FORWARD = ("repvideo/config.json", "repvideo/weights_sat.safetensors", "repvideo/forward.safetensors")
CASES = (
    Case(
        "repvideo/manifest", ("manifests/repvideo_sat.json", "manifests/repvideo_sat_to_diffusers_map.json"), manifest
    ),
    Case("repvideo/forward", _FORWARD, forward),
    Case("repvideo/layers", _FORWARD, layers),
    Case("repvideo/schedule_table", ("repvideo/config.json", "repvideo/schedule_table.safetensors"), schedule_table),
    Case("repvideo/sampler", (*_FORWARD[:2], "repvideo/sampler_*.safetensors"), sampler),
    Case("repvideo/vae_decode", ("repvideo/vae_config.json", "repvideo/vae_decode.safetensors"), vae_decode),
)
