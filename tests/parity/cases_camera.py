"""Camera files, poses, lenses, rays, fundamental matrices and paths against CameraCtrl's and CVD's own code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.common import cameras
from models.common.cameras.paths import layout_paths
from models.common.cameras.realestate import parse_camera_text
from models.cvd.cameras import folded_pair
from tests.parity.case import Case, Errors, read_json, read_tensors, relative_error

LAYOUTS = {"circle": "circle", "upper_hemi": "upper hemisphere", "interpolate": "interpolate"}


def poses(goldens: Path) -> Errors:
    folder, errors = goldens / "camera", {}
    expected = read_tensors(folder / "poses.safetensors")
    for name, entry in read_json(folder / "config.json")["pose_files"].items():
        track = parse_camera_text(entry["text"], name)
        actual = {
            "w2c": track.world_to_camera,
            "c2w": track.camera_to_world,
            "fxfycxcy": track.intrinsics,
            "timestamp": track.timestamps,
            "relative_cameractrl": track.relative(),
            "relative_cameractrl_keep_scale": cameras.relative_poses(track.camera_to_world, keep_first_distance=True),
            "relative_cvd_dataset": track.relative(),
        }
        errors |= {f"{name}.{key}": relative_error(_tensor(value), expected[f"{name}.{key}"])
                   for key, value in actual.items() if f"{name}.{key}" in expected}  # fmt: skip
    return errors


def cameractrl_inference(goldens: Path) -> Errors:
    folder, errors = goldens / "camera", {}
    config = read_json(folder / "config.json")
    expected = read_tensors(folder / "cameractrl_inference.safetensors")
    about = config["files"]["cameractrl_inference.safetensors"]
    track = parse_camera_text(config["pose_files"][about["trajectory_file_intrinsics"]]["text"])
    for width, height, original_width, original_height in about["combos_W_H_origW_origH"]:
        lens = cameras.pixel_intrinsics(
            track.intrinsics, height, width, original_size=(original_height, original_width)
        )
        label = f"intrinsics_{width}x{height}_from_{original_width}x{original_height}"
        errors[label] = relative_error(_tensor(lens), expected[label])
    track = parse_camera_text(config["pose_files"][about["trajectory_file_plucker"]]["text"])
    width, height = about["image_wh_plucker"]
    original_width, original_height = about["original_pose_wh"]
    lens = cameras.pixel_intrinsics(track.intrinsics, height, width, original_size=(original_height, original_width))
    rays = np.moveaxis(cameras.plucker_rays(track.relative(), lens, height, width), 0, 1)[None]
    errors["plucker_K"] = relative_error(_tensor(lens), expected["plucker_K"])
    errors["plucker_c2w"] = relative_error(_tensor(track.relative()), expected["plucker_c2w"])
    return errors | {"plucker": relative_error(_tensor(rays), expected["plucker"])}


def cvd_pair_dataset(goldens: Path) -> Errors:
    folder, errors = goldens / "camera", {}
    config = read_json(folder / "config.json")
    expected = read_tensors(folder / "cvd_pair_dataset.safetensors")
    for name, about in config["pairs"].items():
        first, second = (parse_camera_text(config["pose_files"][about[f"pose_file_{i}"]]["text"]) for i in (0, 1))
        size = about["sample_size"]
        pair = folded_pair(first, second, size)
        assert pair.epipolar_intrinsics is not None
        between = pair.fundamental_matrices()
        lens = cameras.intrinsic_matrices(pair.epipolar_intrinsics)
        unfolded = np.concatenate([pair.intrinsics[0, :0:-1], pair.intrinsics[1]])
        actual = {
            "F_mats": np.concatenate([between[0, 1], between[1, 0]]),
            "c2w": pair.camera_to_world.reshape(1, -1, 4, 4),
            "K_mats": lens.reshape(-1, 3, 3),
            "intrinsics_unfolded": unfolded,
            "plucker": np.moveaxis(pair.rays(size, size), 1, 2).reshape(-1, 6, size, size),
        }
        errors |= {f"{name}.{key}": relative_error(_tensor(value), expected[f"{name}.{key}"])
                   for key, value in actual.items()}  # fmt: skip
    return errors


def fundamental(goldens: Path) -> Errors:
    golden = {key: value.numpy() for key, value in read_tensors(goldens / "camera/fundamental.safetensors").items()}
    matrices = cameras.fundamental_matrices(golden["T_1to2"], golden["K1"], golden["K2"])
    residual = np.einsum("bi,bij,bj->b", golden["x2"], matrices, golden["x1"])
    scale = np.einsum("bi,bij,bj->b", np.abs(golden["x2"]), np.abs(matrices), np.abs(golden["x1"]))
    return {
        "cross_matrix": relative_error(_tensor(cameras.cross_matrix(golden["vec"])), _tensor(golden["cross_matrix"])),
        "essential": relative_error(_tensor(cameras.essential_matrix(golden["T_1to2"])), _tensor(golden["essential"])),
        "fundamental": relative_error(_tensor(matrices), _tensor(golden["fundamental"])),
        "x2 F x1": float(np.max(np.abs(residual) / scale)),
    }


def ray_condition(goldens: Path) -> Errors:
    golden, errors = read_tensors(goldens / "camera/ray_condition.safetensors"), {}
    for group in sorted({key.split(".")[0] for key in golden}):
        for name in ("plucker", "plucker_flip"):
            if f"{group}.{name}" not in golden:
                continue
            expected = golden[f"{group}.{name}"]
            lens, pose = golden[f"{group}.K"].numpy(), golden[f"{group}.c2w"].numpy()
            height, width = expected.shape[2:4]
            mirrored = None
            if name == "plucker_flip":
                mirrored = np.broadcast_to(golden[f"{group}.flip_flag"].numpy().astype(bool), lens.shape[:-1])
            rays = cameras.plucker_rays(pose, lens, height, width, mirrored=mirrored)
            errors[f"{group}.{name}"] = relative_error(_tensor(np.moveaxis(rays, 2, -1)), expected)
    return errors


def slerp(goldens: Path) -> Errors:
    golden, errors = read_tensors(goldens / "camera/slerp.safetensors"), {}
    for group in sorted({key.split(".")[0] for key in golden}):
        start, end = golden[f"{group}.src"].numpy(), golden[f"{group}.tgt"].numpy()
        for key in (k for k in golden if k.startswith(f"{group}.poses")):
            moved = end.copy()
            if "perturbed" in key:
                moved[:3, 3] += float(key.rsplit("_", 1)[1]) * golden[f"{group}.perturb_randn"].numpy()
            path = cameras.interpolate_poses(start, moved, len(golden[key]))
            errors[key] = relative_error(_tensor(path), golden[key])
    return errors


def trajectories(goldens: Path) -> Errors:
    golden, errors = read_tensors(goldens / "camera/trajectories.safetensors"), {}
    about = read_json(goldens / "camera/config.json")["files"]["trajectories.safetensors"]
    num_frames = about["video_length"]
    for pattern, num_views, distance in about["patterns"]:
        for suffix, legacy in (("ge_1_15", False), ("lt_1_15", True)):
            paths = layout_paths(LAYOUTS[pattern], num_views, num_frames, distance=distance, legacy=legacy)
            key = f"{pattern}_{num_views}_{distance}"
            expected = golden[f"{key}.c2w_scipy_{suffix}"]
            errors[f"{key}.{suffix}"] = relative_error(_tensor(paths.reshape(-1, 4, 4)), expected)
            errors |= _perturbed(golden, key, pattern, num_views, distance, legacy, suffix)
        errors[f"{key}.K_mats"] = _lens_error(golden[f"{key}.K_mats"], 256, 256)
    for key in (k for k in golden if k.startswith("K_")):
        width, height = (int(number) for number in key.rsplit("_", 1)[1].split("x"))
        errors[key] = _lens_error(golden[key], height, width)
    for key in (k for k in golden if k.startswith("plucker_")):
        errors[key] = _plucker_error(golden, key, num_frames)
    return errors


def _perturbed(
    golden: dict[str, Tensor], key: str, pattern: str, views: int, distance: float, legacy: bool, suffix: str
) -> Errors:
    """A path whose last positions were displaced; the files hold the draws, their scale is read off the largest
    one."""
    name = f"perturb_{pattern}_{views}"
    if f"{name}.randn" not in golden:
        return {}
    draws, expected = golden[f"{name}.randn"].numpy(), golden[f"{name}.c2w_scipy_{suffix}"]
    frames = len(expected) // views
    last = expected.view(views, frames, 4, 4)[:, -1, :3, 3].numpy().astype(np.float64)
    plain = layout_paths(LAYOUTS[pattern], views, frames, distance=distance, legacy=legacy)
    where = np.unravel_index(np.abs(draws).argmax(), draws.shape)
    scale = round(float((last - plain[:, -1, :3, 3])[where] / draws[where]), 4)
    paths = layout_paths(LAYOUTS[pattern], views, frames, distance=distance, offsets=scale * draws, legacy=legacy)
    return {f"{name}.{suffix}": relative_error(_tensor(paths.reshape(-1, 4, 4)), expected)}


def _lens_error(expected: Tensor, height: int, width: int) -> float:
    lens = cameras.pixel_intrinsics(np.array(cameras.DEFAULT_INTRINSICS), height, width)
    return relative_error(_tensor(cameras.intrinsic_matrices(lens)).expand_as(expected), expected)


def _plucker_error(golden: dict[str, Tensor], key: str, num_frames: int) -> float:
    """The rays of a path, of which the files keep evenly spread frames and every n-th pixel."""
    pattern, size = key.removeprefix("plucker_").rsplit("_", 1)
    width, height = (int(number) for number in size.split("x"))
    views, _, frames, kept_height, kept_width = golden[key].shape
    path = next(golden[k] for k in golden if k.startswith(f"{pattern}.c2w") and k.endswith("lt_1_15"))
    lens = cameras.pixel_intrinsics(np.array(cameras.DEFAULT_INTRINSICS), height, width)
    poses_of_view = path.view(views, num_frames, 4, 4).numpy()
    rays = cameras.plucker_rays(poses_of_view, np.broadcast_to(lens, (views, num_frames, 4)), height, width)
    kept_frames = np.linspace(0, num_frames - 1, frames).astype(int)
    rays = np.moveaxis(rays, 1, 2)[:, :, kept_frames, :: height // kept_height, :: width // kept_width]
    return relative_error(_tensor(rays), golden[key])


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def _case(run) -> Case:
    file = f"camera/{run.__name__}.safetensors"
    return Case(f"camera/{run.__name__}", (file, "camera/config.json"), run)


CASES = tuple(
    _case(run)
    for run in (poses, cameractrl_inference, cvd_pair_dataset, fundamental, ray_condition, slerp, trajectories)
)
