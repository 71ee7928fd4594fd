"""A studio of its own for each test, over the fake method."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from studio.presets import Preset, load_presets, request_with
from studio.registry import Registry
from studio.settings import StudioSettings
from tests.unit.studio.counting_device import CountingDevice
from tests.unit.studio.saved_networks import recipe_over, save_networks
from tests.unit.studio.tiny_networks import save_tower
from tests.unit.studio.towers import GENEROUS, SHAPES, registry_with
from tests.unit.studio.towers import recipe as towers_recipe
from tests.unit.studio.weights_shop import Shop, open_shop

PRESETS = Path(__file__).parents[2] / "fakes" / "presets"
PACKAGES = ("models", "tests.fakes")


@pytest.fixture
def settings(tmp_path: Path) -> StudioSettings:
    return StudioSettings(
        output_dir=tmp_path / "outputs",
        cache_dir=tmp_path / "cache",
        preset_dir=PRESETS,
        certificate_dir=tmp_path / "certificate",
    )


@pytest.fixture(scope="session")
def preset() -> Preset:
    return load_presets(PRESETS, PACKAGES)["sketch/pocket"]


@pytest.fixture(scope="session")
def ask(preset: Preset):
    """ask(num_inference_steps=9): the preset's request with some fields changed."""
    return lambda **values: request_with(preset.request, values)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with open_shop(tmp_path, monkeypatch) as opened:
        yield opened


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """The towers' weights."""
    folder = tmp_path_factory.mktemp("towers")
    for seed, (name, shape) in enumerate(SHAPES.items()):
        save_tower(folder / name, seed, *shape)
    return folder


@pytest.fixture(scope="session")
def answers(folder) -> dict[str, torch.Tensor]:
    """What each network computes when nothing else is going on."""
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    with registry.acquire(towers_recipe(folder, "all", *SHAPES)) as pipeline:
        return {name: pipeline.compute(name).clone() for name in SHAPES}


@pytest.fixture(scope="session")
def sizes(folder) -> dict[str, int]:
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    with registry.acquire(towers_recipe(folder, "all", *SHAPES)):
        return {c["names"][0]: c["bytes"] for c in registry.status()["components"]}


@pytest.fixture(scope="session")
def saved(tmp_path_factory) -> Path:
    """The methods' kinds of networks, as their own libraries save them."""
    folder = tmp_path_factory.mktemp("saved")
    save_networks(folder)
    return folder


@pytest.fixture
def recipe(saved):
    """recipe("vae", "scheduler") over the saved folders, or over `folder`."""
    return lambda *names, folder=saved, **options: recipe_over(folder, *names, **options)


@pytest.fixture
def copies(saved, tmp_path) -> Path:
    """Weights that a test may damage."""
    return Path(shutil.copytree(saved, tmp_path / "weights"))


@pytest.fixture
def registry(tmp_path) -> Registry:
    return Registry("cpu", cache_dir=tmp_path / "cache")
