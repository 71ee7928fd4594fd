"""MCM's adapters, four steps with both teachers, and training helpers, against the authors' recipe and functions."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from diffusers import LCMScheduler, UNet3DConditionModel, UNetMotionModel
from torch import Tensor, nn

from models.mcm import motion_representation as motion
from models.mcm.adapter import adapted_modules, merge_adapter
from models.mcm.consistency import DDIMSolver, NoiseSchedule, boundary_scalings, pseudo_huber
from models.mcm.discriminator import ProjectedDiscriminator, discriminator_losses, generator_loss
from models.mcm.sampler import predict_noise, sample_student, student_scheduler
from tests.parity.case import Case, Errors, read_json, read_tensors, relative_error

CONFIG = "mcm/config.json"
HELPERS = "mcm/train_helpers.safetensors"
FULL_SIZE = {"modelscope": "mcm_modelscope_lora_r64", "animatediff": "mcm_animatediff_v1_5_2_lora_r64"}
REPRESENTATIONS = {
    "raw": motion.raw,
    "diff": motion.frame_difference,
    "freql": motion.low_frequencies,
    "freqh": motion.high_frequencies,
    "lcor": motion.local_correlation,
    "gcor": motion.global_correlation,
    "sgcor": motion.scaled_global_correlation,
}


def teacher(goldens: Path, base: str) -> nn.Module:
    config = read_json(goldens / f"mcm/{base}/unet_config.json")
    unet = UNetMotionModel(**config["unet_motion_config"]) if "unet_motion_config" in config else None
    unet = (unet or UNet3DConditionModel(**config)).eval()
    unet.load_state_dict(read_tensors(goldens / f"mcm/{base}/unet.safetensors"), strict=True)
    return unet


def student(goldens: Path, base: str) -> nn.Module:
    about = read_json(goldens / CONFIG)["bases"][base]
    return merge_adapter(teacher(goldens, base), goldens / "mcm" / about["adapter_dir"])


def forward(base: str, goldens: Path) -> Errors:
    golden = read_tensors(goldens / f"mcm/{base}/forward.safetensors")
    targets = read_json(goldens / f"mcm/{base}/lora_target_modules.json")
    names = targets if isinstance(targets, list) else next(v for v in targets.values() if isinstance(v, list))
    inputs = golden["sample"], golden["timestep"], golden["encoder_hidden_states"]
    unet = teacher(goldens, base)
    assert sorted(adapted_modules(unet)) == sorted(names), "other modules are adapted than in the authors' script"
    return {
        "out_base": relative_error(predict_noise(unet, *inputs), golden["out_base"]),
        "out_lora": relative_error(predict_noise(student(goldens, base), *inputs), golden["out_lora"]),
    }


def sampling(base: str, goldens: Path) -> Errors:
    golden = read_tensors(goldens / f"mcm/{base}/sampling4.safetensors")
    about = read_json(goldens / CONFIG)["files"][f"{base}/sampling4.safetensors"]
    unet = student(goldens, base)
    released = {k: v for k, v in about["scheduler_config"].items() if k != "timestep_scaling"}
    scheduler = student_scheduler(released, unet)
    errors = {
        "scheduler settings that differ": float(
            sum(scheduler.config[key] != value for key, value in about["scheduler_config"].items())
        ),
        "alphas_cumprod": relative_error(scheduler.alphas_cumprod, golden["alphas_cumprod"]),
    }
    for key in (k for k in golden if k.startswith("timesteps_")):
        scheduler.set_timesteps(int(key.removeprefix("timesteps_")))
        errors[key] = relative_error(scheduler.timesteps, golden[key])
    scheduler.set_timesteps(about["steps"])
    seen: dict[str, list[Tensor]] = {"latents_after_step": [], "denoised": [], "eps": []}
    _record_predictions(scheduler, seen["eps"])

    def on_step(latents: Tensor, denoised: Tensor) -> None:
        seen["latents_after_step"].append(latents)
        seen["denoised"].append(denoised)

    noise = iter(golden["noise"])
    with mock.patch("diffusers.schedulers.scheduling_lcm.randn_tensor", lambda *_, **__: next(noise)):
        final = sample_student(unet, scheduler, golden["latents_init"], golden["prompt_embeds"], None, on_step)
    assert next(noise, None) is None, "some recorded noise was not taken"
    for name, values in seen.items():
        expected = golden[name]
        actual = torch.stack(values)
        if actual.dim() > expected.dim():  # ModelScope's scheduler sees frames in the batch
            actual = actual.transpose(2, 3).flatten(1, 2)
        errors[name] = relative_error(actual, expected)
    scalings = torch.stack(boundary_scalings(golden["timesteps"].double()), dim=1)
    return errors | {
        "timesteps": relative_error(scheduler.timesteps, golden["timesteps"]),
        "c_skip_c_out": relative_error(scalings, golden["c_skip_c_out"]),
        "latents_final": relative_error(final, golden["latents_final"]),
    }


def _record_predictions(scheduler: Any, predictions: list[Tensor]) -> None:
    step = scheduler.step

    def recorded(noise_pred: Tensor, *arguments: Any, **options: Any) -> Any:
        predictions.append(noise_pred)
        return step(noise_pred, *arguments, **options)

    scheduler.step = recorded


def consistency(goldens: Path) -> Errors:
    golden = read_tensors(goldens / HELPERS)
    c_skip, c_out = boundary_scalings(golden["ts"])
    errors = {
        "c_skip": relative_error(c_skip, golden["c_skip_ts4"]),
        "c_out": relative_error(c_out, golden["c_out_ts4"]),
        "huber": relative_error(pseudo_huber(golden["loss.a"], golden["loss.b"]), golden["loss.huber_c0.001"]),
    }
    for group in sorted({key.split(".")[0] for key in golden if key.startswith("solver_")}):
        part = {key.split(".")[1]: value for key, value in golden.items() if key.startswith(f"{group}.")}
        scheduler = LCMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule=group.removeprefix("solver_"))
        solver = DDIMSolver(scheduler.alphas_cumprod)
        index, z, eps = part["idx"], part["z"], part["eps"]
        timesteps = solver.timesteps[index]
        epsilon = NoiseSchedule(scheduler.alphas_cumprod)
        velocity = NoiseSchedule(scheduler.alphas_cumprod, "v_prediction")
        actual = {
            "ddim_timesteps": solver.timesteps,
            "alpha_prev": solver.alphas_previous,
            "x_prev": solver.step(part["x0"], eps, index),
            "pred_x0_eps": epsilon.x0(eps, timesteps, z),
            "pred_x0_v": velocity.x0(eps, timesteps, z),
            "pred_noise_v": velocity.noise(eps, timesteps, z),
        }
        errors |= {f"{group}.{key}": relative_error(value, part[key]) for key, value in actual.items()}
    return errors


def representations(goldens: Path) -> Errors:
    golden = read_tensors(goldens / HELPERS)
    about = read_json(goldens / CONFIG)["files"]["train_helpers.safetensors"]["meta"]
    latents = golden["cd.latent"]
    errors = {name: relative_error(represent(latents), golden[f"cd.{name}"])
              for name, represent in REPRESENTATIONS.items()}  # fmt: skip
    for name in ("learn", "hlearn"):
        head = motion.SpatialHead(**about[name])
        prefix = f"{name}.w."
        head.load_state_dict({k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)})
        errors[name] = relative_error(head(latents), golden[f"{name}.out"])
    return errors


def discriminator(goldens: Path) -> Errors:
    golden = read_tensors(goldens / HELPERS)
    about = read_json(goldens / CONFIG)["files"]["train_helpers.safetensors"]["meta"]["disc"]
    network = ProjectedDiscriminator(about["embed_dim"], about["c_dim"], about["hooks"]).eval()
    renames = {"weight_orig": "parametrizations.weight.original", "weight_u": "parametrizations.weight.0._u",
               "weight_v": "parametrizations.weight.0._v"}  # fmt: skip
    state = {}
    for key in (k for k in golden if k.startswith("disc.w.")):
        path, _, leaf = key.removeprefix("disc.w.").rpartition(".")
        state[f"{path}.{renames.get(leaf, leaf)}"] = golden[key]
    network.load_state_dict(state, strict=True)
    features = [golden[f"disc.feat{i}"] for i in range(len(about["hooks"]))]
    return {"logits": relative_error(network(features, golden["disc.clip"]), golden["disc.logits"])}


def losses(goldens: Path) -> Errors:
    golden = read_tensors(goldens / HELPERS)
    of_fake, of_real = golden["disc.logits"].chunk(2)
    real, fake = discriminator_losses(of_real, of_fake)
    actual = {"wgan_gen": generator_loss(of_fake), "wgan_disc_gt": real, "wgan_disc_gen": fake}
    return {name: relative_error(value, golden[f"loss.{name}"]) for name, value in actual.items()}


def manifests(goldens: Path) -> Errors:
    """The rule for adapted modules gives exactly the names and shapes of the full-size adapters."""
    errors = {}
    with torch.device("meta"):
        teachers = {
            "modelscope": UNet3DConditionModel(cross_attention_dim=1024, attention_head_dim=64, sample_size=32),
            "animatediff": UNetMotionModel(cross_attention_dim=768),
        }
    for base, file in FULL_SIZE.items():
        expected = {name: tuple(shape) for name, shape in read_json(goldens / f"manifests/{file}.json").items()}
        rank = next(shape[0] for name, shape in expected.items() if "lora_A" in name)
        modules, actual = dict(teachers[base].named_modules()), {}
        for name in adapted_modules(teachers[base]):
            weight = modules[name].weight
            assert isinstance(weight, Tensor)
            actual[f"base_model.model.{name}.lora_A.weight"] = (rank, *weight.shape[1:])
            actual[f"base_model.model.{name}.lora_B.weight"] = (len(weight), rank, *[1] * (weight.dim() - 2))
        errors[f"{base} names or shapes that differ"] = float(len(set(actual.items()) ^ set(expected.items())))
    return errors


def _of_teacher(name: str, run: Any, base: str) -> Case:
    needs = (CONFIG, f"mcm/{base}/unet.safetensors", f"mcm/{base}/forward.safetensors",
             f"mcm/{base}/sampling4.safetensors")  # fmt: skip
    return Case(f"mcm/{base}/{name}", needs, partial(run, base))


CASES = (
    *(
        _of_teacher(name, run, base)
        for base in FULL_SIZE
        for name, run in (("forward", forward), ("sampling4", sampling))
    ),
    Case("mcm/consistency", (HELPERS, CONFIG), consistency),
    Case("mcm/representations", (HELPERS, CONFIG), representations),
    Case("mcm/discriminator", (HELPERS, CONFIG), discriminator),
    Case("mcm/losses", (HELPERS, CONFIG), losses),
    Case("mcm/manifests", tuple(f"manifests/{file}.json" for file in FULL_SIZE.values()), manifests),
)
