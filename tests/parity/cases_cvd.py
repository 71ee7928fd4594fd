"""CVD's masks, pose encoder, forwards and sampling loops against the authors' code, with their random draws
replayed."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from models.cvd.cameras import ViewCameras
from models.cvd.convert import convert_tensors, merge_adapter, network_sources, pose_encoder_sources
from models.cvd.epipolar_attention import (
    EpipolarBias,
    PseudoLineBias,
    Synchronization,
    attention_bias,
    epipolar_lines,
    homography_points,
    horizontal_slopes,
    pseudo_lines,
    token_points,
)
from models.cvd.pose_encoder import CameraPoseEncoder
from models.cvd.sampler import Schedule, ViewDenoiser, random_pairs
from models.cvd.unet import CameraAttentionProcessor, CameraMotionModule, CollaborativeUNet, ViewConditions
from tests.parity.case import Case, Errors, read_json, read_tensors, relative_error

WEIGHTS = tuple(
    f"cvd/weights_{name}.safetensors" for name in ("unet_base", "motion_module", "cameractrl_attn_procs", "epi")
)
POSE_WEIGHTS = "cvd/weights_cameractrl_pose_encoder.safetensors"
CONFIG = "cvd/config.json"
MANIFESTS = {
    name: f"manifests/{name}.json"
    for name in (
        "unet_base", "motion_module", "motion_module_buffers", "pose_attention_processors", "epi_modules",
        "pose_encoder"
    )
}  # fmt: skip


class Replay:
    """Gives out recorded draws in order."""

    def __init__(self, recorded: Tensor) -> None:
        self.recorded, self.next = recorded, 0

    def __call__(self, *_: Any) -> Tensor:
        self.next += 1
        return self.recorded[self.next - 1]

    def slopes(self, count: int) -> Tensor:
        return math.pi * self().reshape(count)

    @property
    def used_up(self) -> bool:
        return self.next == len(self.recorded)


def attention_maps(goldens: Path) -> Errors:
    about = read_json(goldens / CONFIG)["files"]["attn_maps.safetensors"]
    golden, errors = read_tensors(goldens / "cvd/attn_maps.safetensors"), {}
    for name, variant in about["variants"].items():
        frames = variant["frames_kept"]
        size = variant.get("F_mat_size", about["F_mat_size"])
        bias = _map(golden, name, variant, frames, (size, size))
        errors[name] = relative_error(bias, golden[name])
    return errors


def _map(
    golden: dict[str, Tensor], name: str, variant: dict[str, Any], frames: list[int], size: tuple[int, int]
) -> Tensor:
    count = round(math.sqrt(golden[name].shape[-1]))
    grid = (count, count)
    points = token_points(grid, size)
    if "noF" in name or "_H_" in name:
        slopes = math.pi * golden[name.replace("_feat", "_u_feat")][frames]
        through = points
        if "_H_" in name:
            through = homography_points(golden[variant["H_mats"]].reshape(-1, 3, 3)[frames], points, size)
        return attention_bias(pseudo_lines(through, slopes), points, size)
    which = variant.get("F_mats", "F_mats_random" if "random" in name else "F_mats")
    fundamental = golden[which]
    per_view = fundamental.shape[1]
    lines = epipolar_lines(fundamental.reshape(-1, 3, 3)[frames], points)
    slope = horizontal_slopes(1)
    if variant["rand_slope_ff"]:
        slope = math.pi * golden[name.replace("rand_firstframe", "rand_u")]
    first = torch.tensor([frame % per_view == 0 for frame in frames])
    lines[first] = pseudo_lines(points, slope)
    return attention_bias(lines, points, size)


def kept_bias(goldens: Path) -> Errors:
    """What a run keeps between steps is the dense mask, for every resolution."""
    about = read_json(goldens / CONFIG)["files"]["attn_maps.safetensors"]
    golden, errors = read_tensors(goldens / "cvd/attn_maps.safetensors"), {}
    fundamental = golden["F_mats"]
    size = about["F_mat_size"]
    between = {(0, 1): fundamental[0], (1, 0): fundamental[1]}
    kept = EpipolarBias(between, (size, size), horizontal_slopes)
    for name, variant in about["variants"].items():
        if not name.startswith("map_det_epi"):
            continue
        count = round(math.sqrt(golden[name].shape[-1]))
        kept.draw(fundamental.shape[1])
        for _ in range(2):  # the second time from memory
            views = [
                torch.cat([bias for _, bias in kept.pieces(view, 1 - view, (count, count), torch.float32)])
                for view in (0, 1)
            ]
        errors[name] = relative_error(torch.cat(views)[variant["frames_kept"]], golden[name])
    return errors


def pose_encoder(goldens: Path) -> Errors:
    golden = read_tensors(goldens / "cvd/pose_encoder.safetensors")
    features = _pose_encoder(goldens)(golden["pose_embedding"])
    return {
        f"feature_{i}": relative_error(feature.transpose(1, 2).flatten(0, 1), golden[f"feature_{i}"])
        for i, feature in enumerate(features)
    }


def forward(goldens: Path) -> Errors:
    about = read_json(goldens / CONFIG)["files"]["forward_outputs.safetensors"]
    inputs = read_tensors(goldens / "cvd/forward_inputs.safetensors")
    golden = read_tensors(goldens / "cvd/forward_outputs.safetensors")
    unet = _unet(goldens)
    features = [inputs[name] for name in sorted(k for k in inputs if k.startswith("pose_feature_"))]
    errors = {}
    for name, variant in about["variants"].items():
        views = variant["videos"]
        replay = Replay(golden.get(f"u_{name}", torch.zeros(0)))
        slopes = replay.slopes if len(replay.recorded) else horizontal_slopes
        synchronization = None
        if variant["epi_call_order"]:
            synchronization = _synchronization(inputs, name, variant, slopes, _image_size(goldens))
        chosen = tuple(feature[:views] for feature in features) if variant["pose"] else ()
        text = inputs["encoder_hidden_states"][:views]
        conditions = ViewConditions(chosen, synchronization)
        errors[name] = relative_error(unet(inputs["sample"][:views], inputs["timestep"], text, conditions),
                                      golden[f"out_{name}"])  # fmt: skip
        assert replay.used_up, f"{name} recorded {len(replay.recorded)} draws, {replay.next} were taken"
    return errors


def _synchronization(
    inputs: dict[str, Tensor], name: str, variant: dict[str, Any], slopes: Callable, size: tuple[int, int]
) -> Synchronization:
    views, frames = variant["videos"], inputs["sample"].shape[2]
    if "noF" in name:
        return Synchronization(((1,), (0,)), PseudoLineBias(size, slopes, views))
    fundamental = inputs[variant.get("F_mats", f"F_mats_v{views}")]
    if "kv_index" in variant:
        index = inputs[variant["kv_index"]].view(-1, views, frames)[..., 0] // frames  # [partners, views]
        partners = tuple(tuple(column.tolist()) for column in index.unbind(1))
    else:
        partners = ((1,), (0,))
    between = {
        (view, partner): fundamental[which * views + view]
        for view, of_view in enumerate(partners)
        for which, partner in enumerate(of_view)
    }
    return Synchronization(partners, EpipolarBias(between, size, slopes))


def probes(goldens: Path) -> Errors:
    """Stage by stage through one forward, to find where two implementations part."""
    inputs = read_tensors(goldens / "cvd/forward_inputs.safetensors")
    golden = read_tensors(goldens / "cvd/forward_probes_v2_det.safetensors")
    variant = read_json(goldens / CONFIG)["files"]["forward_outputs.safetensors"]["variants"]["v2_det"]
    unet, seen = _unet(goldens), {}
    stages = [name.removeprefix("probe_") for name in golden if not name.endswith("_stats")]
    for stage in stages:
        module = unet.get_submodule(stage.replace("epi_modules", "motion_modules"))
        module.register_forward_hook(partial(_note, seen, stage))
        if isinstance(module, CameraMotionModule):
            module.cross_view.register_forward_pre_hook(partial(_note_input, seen, stage))
    features = tuple(inputs[name][:2] for name in sorted(k for k in inputs if k.startswith("pose_feature_")))
    synchronization = _synchronization(inputs, "v2_det", variant, horizontal_slopes, _image_size(goldens))
    unet(inputs["sample"][:2], inputs["timestep"], inputs["encoder_hidden_states"][:2],
         ViewConditions(features, synchronization))  # fmt: skip
    frames, errors = inputs["sample"].shape[2], {}
    for stage in stages:
        value = seen[stage]
        if value.dim() == 4 and ".attentions." not in stage and ".resnets." not in stage:
            value = value.unflatten(0, (-1, frames)).transpose(1, 2)
        flat = value.contiguous().flatten()
        if flat.numel() >= golden[f"probe_{stage}"].numel():
            picked = flat[torch.linspace(0, flat.numel() - 1, len(golden[f"probe_{stage}"])).long()]
            errors[stage] = relative_error(picked, golden[f"probe_{stage}"])
    return errors


def _note(seen: dict[str, Tensor], stage: str, module: Any, inputs: Any, output: Any) -> None:
    if ".motion_modules." in stage and stage in seen:
        return  # the module itself ends after synchronisation; what enters that was noted
    seen[stage] = output[0] if isinstance(output, tuple) else output


def _note_input(seen: dict[str, Tensor], stage: str, module: Any, inputs: Any) -> None:
    seen[stage] = inputs[0]


def sampling(name: str, goldens: Path) -> Errors:
    config = read_json(goldens / CONFIG)
    about = config["files"][f"{name}.safetensors"]
    golden = read_tensors(goldens / f"cvd/{name}.safetensors")
    views, frames = about["views"], config["frames"]
    lens = golden["K_mats"].view(views, frames, 3, 3)
    cameras = ViewCameras(
        golden["c2w"].view(views, frames, 4, 4).numpy(),
        torch.stack([lens[..., 0, 0], lens[..., 1, 1], lens[..., 0, 2], lens[..., 1, 2]], dim=-1).numpy(),
    )
    size = _image_size(goldens)
    between = {pair: torch.from_numpy(matrix) for pair, matrix in cameras.fundamental_matrices().items()}
    if "F_mats" in golden:
        between = {(0, 1): golden["F_mats"][0], (1, 0): golden["F_mats"][1]}
    features = _pose_encoder(goldens)(torch.from_numpy(cameras.rays(*size)))
    guided = about["guidance"] > 1
    text = torch.cat([golden["uncond"], golden["cond"]]) if guided else golden["cond"]
    slopes = Replay(golden["u_slopes"].flatten())
    denoiser = ViewDenoiser(_unet(goldens), text, features, EpipolarBias(between, size, slopes.slopes),
                            about["guidance"])  # fmt: skip
    predictions, rows = [], {}
    denoiser.unet.register_forward_pre_hook(lambda _, inputs: rows.setdefault("inputs", inputs) and None)
    scheduler = _recording(DDIMScheduler(**config["noise_scheduler_kwargs"]), predictions)
    scheduler.set_timesteps(about["steps"])
    after: list[Tensor] = []
    schedule = Schedule(about.get("multistep", 1), about.get("accumulate", 1))
    draws = RecordedDraws(golden)
    final = denoiser.denoise(golden["latents_init"], scheduler, schedule, draws, lambda x, _: after.append(x))
    assert slopes.used_up and draws.used_up, "some recorded draws were not taken"
    copies = len(text)
    first = random_pairs(golden["video_perm"][0].tolist()) if "video_perm" in golden else ((1,), (0,))
    matrices = torch.stack([between[view, partner[0]] for view, partner in enumerate(first)])
    return {
        "timesteps": relative_error(scheduler.timesteps, golden["timesteps"]),
        "eps_first": relative_error(predictions[0], golden["eps_first"]),
        "latents_after_step": relative_error(torch.stack(after), golden["latents_after_step"]),
        "latents_final": relative_error(final, golden["latents_final"]),
        "F_mats_first_forward": relative_error(matrices[:, 1:].repeat_interleave(copies, dim=0),
                                               golden["F_mats_first_forward"][:, 1:]),
        **_row_order(rows["inputs"], golden),
        **_partner_order(golden, frames, copies),
    }  # fmt: skip


def _row_order(inputs: tuple, golden: dict[str, Tensor]) -> Errors:
    """Means over each row reveal in which order guidance copies and views reach the network."""
    sample, _, text, conditions = inputs
    pose = conditions.pose_features[0].repeat_interleave(len(sample) // len(conditions.pose_features[0]), dim=0)
    means = {"sample": sample, "ehs": text, "pose0": pose}
    return {f"rows.{key}": relative_error(value.flatten(1).mean(1), golden[f"first_forward_{key}_mean_per_batch"])
            for key, value in means.items()}  # fmt: skip


def _partner_order(golden: dict[str, Tensor], frames: int, copies: int) -> Errors:
    """Our partners, written as the authors' index of key rows."""
    if "kv_index" not in golden:
        return {}
    rows = []
    for permutation in golden["video_perm"].tolist():
        partners = torch.tensor(random_pairs(permutation))[:, 0]
        row = partners[:, None] * copies + torch.arange(copies)
        rows.append((row.flatten()[:, None] * frames + torch.arange(frames)).flatten())
    return {"kv_index": relative_error(torch.stack(rows), golden["kv_index"])}


class RecordedDraws:
    """The permutations and noises of a recorded run. Two views need no permutation."""

    def __init__(self, golden: dict[str, Tensor]) -> None:
        self._permutations = Replay(golden.get("video_perm", torch.zeros(0)))
        self._noise = Replay(golden.get("renoise", torch.zeros(0)))

    def permutation(self, num_views: int) -> list[int]:
        return self._permutations().tolist() if len(self._permutations.recorded) else list(range(num_views))

    def noise(self, latents: Tensor) -> Tensor:
        return self._noise()

    @property
    def used_up(self) -> bool:
        return self._permutations.used_up and self._noise.used_up


def _recording(scheduler: Any, predictions: list[Tensor]) -> Any:
    step = scheduler.step

    def recorded(noise_pred: Tensor, *arguments: Any, **options: Any) -> Any:
        predictions.append(noise_pred)
        return step(noise_pred, *arguments, **options)

    scheduler.step = recorded
    return scheduler


def adapter_merge(goldens: Path) -> Errors:
    about = read_json(goldens / CONFIG)["files"]["adapter_merge.safetensors"]
    golden = read_tensors(goldens / "cvd/adapter_merge.safetensors")
    parts = {
        prefix: {k.removeprefix(f"{prefix}."): v for k, v in golden.items() if k.startswith(f"{prefix}.")}
        for prefix in ("base", "adapter", "merged")
    }
    merged = merge_adapter(parts["base"], parts["adapter"], about["lora_scale"])
    unet = UNet2DConditionModel(**about["unet2d_config"]).eval()
    unet.load_state_dict(merged, strict=True)
    out = unet(golden["sample"], about["timestep"], golden["encoder_hidden_states"]).sample
    changed = {name for name in merged if not torch.equal(merged[name], parts["base"][name])}
    assert changed == parts["merged"].keys(), "other tensors changed than in the authors' merge"
    errors = {name: relative_error(merged[name], tensor) for name, tensor in parts["merged"].items()}
    return errors | {"out_merged": relative_error(out, golden["out_merged"])}


def manifests(goldens: Path) -> Errors:
    """Every name and shape of the released files finds its place in the full-size network, and every place its
    name."""
    files = {
        name: {key: torch.empty(shape, device="meta") for key, shape in read_json(goldens / path).items()}
        for name, path in MANIFESTS.items()
    }
    motion = files["motion_module"] | files["motion_module_buffers"]
    renamed, tensors = network_sources(
        files["unet_base"], motion, files["pose_attention_processors"], files["epi_modules"], {}
    )
    assert len(renamed.ignored) == len(files["motion_module_buffers"]) // 2  # one of two equal position tables
    targets = read_json(goldens / "manifests/map_motion_module_to_diffusers.json")
    ours = {released: name for name, (released, _) in renamed.sources.items()}
    wrong = {name for name, target in targets.items() if ours[name] != target}
    pose_encoder_sources(files["pose_encoder"], {})
    used = {name for name, _ in renamed.sources.values()} | set(renamed.ignored)
    return {
        "names left over": float(len(tensors.keys() - used)),
        "motion names unlike diffusers'": float(len(wrong)),
    }


def _image_size(goldens: Path) -> tuple[int, int]:
    height, width = read_json(goldens / CONFIG)["image_hw"]
    return height, width


def _unet(goldens: Path) -> CollaborativeUNet:
    model = read_json(goldens / CONFIG)["model"]
    config = {key: value for key, value in model["unet"].items() if key != "attention_head_dim"}
    config["num_attention_heads"] = model["unet"]["attention_head_dim"]  # SD 1.5's name for the number of heads
    for key in ("down_block_types", "up_block_types"):
        config[key] = tuple(kind.replace("3D", "Motion") for kind in config[key])
    config["motion_max_seq_length"] = model["motion"]["temporal_position_encoding_max_len"]
    unet = CollaborativeUNet(**config).eval()
    base, motion, camera, cross_view = (read_tensors(goldens / file) for file in WEIGHTS)
    unet.load_state_dict(convert_tensors(base, motion, camera, cross_view, config), strict=True)
    for module in unet.modules():
        if isinstance(module, CameraAttentionProcessor):
            module.scale = model.get("scale", 1.0)
    return unet


def _pose_encoder(goldens: Path) -> CameraPoseEncoder:
    model = read_json(goldens / CONFIG)["model"]["pose_encoder"]
    config = {"channels": tuple(model["channels"]), "max_frames": model["temporal_position_encoding_max_len"]}
    tensors = read_tensors(goldens / POSE_WEIGHTS)
    pose_encoder_sources(tensors, config)
    encoder = CameraPoseEncoder(**config).eval()
    encoder.load_state_dict(tensors, strict=True)
    return encoder


SAMPLING = ("sampling_simple", "sampling_adv4", "sampling_adv4_nocfg", "sampling_adv6")
FORWARD = ("cvd/forward_inputs.safetensors", CONFIG, *WEIGHTS)

CASES = (
    Case("cvd/manifests", (*MANIFESTS.values(), "manifests/map_motion_module_to_diffusers.json"), manifests),
    Case("cvd/attention_maps", ("cvd/attn_maps.safetensors", CONFIG), attention_maps),
    Case("cvd/kept_bias", ("cvd/attn_maps.safetensors", CONFIG), kept_bias),
    Case("cvd/pose_encoder", ("cvd/pose_encoder.safetensors", POSE_WEIGHTS, CONFIG), pose_encoder),
    Case("cvd/forward", ("cvd/forward_outputs.safetensors", *FORWARD), forward),
    Case("cvd/probes", ("cvd/forward_probes_v2_det.safetensors", *FORWARD), probes),
    Case("cvd/adapter_merge", ("cvd/adapter_merge.safetensors", CONFIG), adapter_merge),
    *(
        Case(f"cvd/{name}", (f"cvd/{name}.safetensors", POSE_WEIGHTS, CONFIG, *WEIGHTS), partial(sampling, name))
        for name in SAMPLING
    ),
)
