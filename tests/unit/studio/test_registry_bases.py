"""A network as a base and what differs from it: the base is held once, and both together must fit exactly."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.method import Component, Recipe
from studio.registry import WeightsError
from tests.unit.studio.counting_device import CountingDevice
from tests.unit.studio.tiny_networks import FILE, HERE, TOKENS, Tower, save_difference, tower_recipe
from tests.unit.studio.towers import GENEROUS, correct, recipe, registry_with


class OtherTower(Tower):
    """Another class over the same weights."""

    def decode(self, tokens: torch.Tensor) -> torch.Tensor:
        return -super().decode(tokens)


@pytest.fixture
def made(folder: Path, tmp_path: Path) -> tuple[Path, torch.Tensor]:
    """A folder with what differs from the tower "one", and what the whole computes."""
    tower = save_difference(tmp_path / "made", folder / "one", 5)
    return tmp_path / "made", tower.decode(TOKENS).detach()


def over_one(folder: Path, made: Path, method: str = "new") -> Recipe:
    return tower_recipe(method, made=(made, ("denoise",), folder / "one"))


def test_the_base_is_held_once_for_both_networks(folder, answers, sizes, made):
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    with registry.acquire(recipe(folder, "old", "one")) as old, registry.acquire(over_one(folder, made[0])) as new:
        assert torch.equal(new.compute("made"), made[1]) and correct(old, answers, "one")
        assert new.parts["made"].blocks[1].weight is old.parts["one"].blocks[1].weight
        held = {c["source"]: (c["bytes"], c["methods"]) for c in registry.status()["components"]}
        assert held[str(folder / "one")][1] == ["new", "old"]
        assert held[str(made[0])][0] < sizes["one"]
        described = registry.describe(new)
    assert described["made"]["source"] == str(made[0]) and described["made base"]["source"] == str(folder / "one")
    assert registry.memory.fetches == 2


@pytest.mark.parametrize("separate", [True, False])
def test_a_module_at_rest_is_not_used_over_a_base_that_has_gone(folder, made, separate):
    registry = registry_with(hardware=CountingDevice(GENEROUS, separate=separate))
    for _ in range(2):
        with registry.acquire(over_one(folder, made[0])) as pipeline:
            assert torch.equal(pipeline.compute("made"), made[1])
        base = next(r for r in registry.memory.residents.values() if r.source == str(folder / "one"))
        registry.memory.drop(base)
    assert len(registry.status()["components"]) == 1
    assert sum(len(r.shells) for r in registry.memory.residents.values()) == 1
    registry.unload()
    assert registry.memory.used() == 0


def test_base_and_difference_pass_through_a_device_that_is_too_small(folder, answers, sizes, made):
    device = CountingDevice(sizes["one"] * 3 // 4)
    registry = registry_with(hardware=device)
    with registry.acquire(over_one(folder, made[0])) as pipeline:
        assert torch.equal(pipeline.compute("made"), made[1])
    assert device.peak_live <= device.budget
    with registry.acquire(recipe(folder, "old", "one")) as pipeline:
        assert correct(pipeline, answers, "one")


def test_two_classes_share_what_is_one_content(folder, answers):
    component = Component("one", f"{__name__}:OtherTower", str(folder / "one"), dtype="float32")
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    with (
        registry.acquire(recipe(folder, "a", "one")) as plain,
        registry.acquire(Recipe("b", f"{HERE}:Holder", (component,))) as other,
    ):
        assert torch.equal(other.compute("one"), -answers["one"]) and correct(plain, answers, "one")
        assert len(registry.status()["components"]) == 1


def test_one_name_with_two_classes_gets_a_module_of_each(folder, answers):
    """Two presets of one method may name other classes for the same weights."""
    component = Component("one", f"{__name__}:OtherTower", str(folder / "one"), dtype="float32")
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    for _ in range(2):
        with registry.acquire(recipe(folder, "a", "one")) as pipeline:
            assert correct(pipeline, answers, "one")
        with registry.acquire(Recipe("a", f"{HERE}:Holder", (component,))) as pipeline:
            assert torch.equal(pipeline.compute("one"), -answers["one"])


def _changed(folder: Path, **tensors: torch.Tensor | None) -> None:
    state: dict[str, Any] = load_file(folder / FILE) | tensors
    save_file({name: tensor for name, tensor in state.items() if tensor is not None}, folder / FILE)


@pytest.mark.parametrize(
    ("where", "change", "words"),
    [
        ("made", {"blocks.7.weight": torch.zeros(6, 6)}, "unknown 1 of the tensors of Tower, first 'blocks.7.weight'"),
        ("made", {"blocks.0.weight": torch.zeros(5, 5)}, "differently shaped 1 of .* first 'blocks.0.weight'"),
        ("base", {"blocks.1.bias": None}, "lack 1 of the tensors of Tower, first 'blocks.1.bias'"),
        ("base", {"blocks.1.gate": torch.zeros(6)}, "unknown 1 of the tensors of Tower, first 'blocks.1.gate'"),
    ],
)
def test_what_does_not_fit_together_is_refused_by_name(folder, tmp_path, made, where, change, words):
    shutil.copytree(folder / "one", tmp_path / "base")
    _changed(tmp_path / where, **change)
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    with (
        pytest.raises(WeightsError, match=words) as refused,
        registry.acquire(tower_recipe("new", made=(made[0], ("denoise",), tmp_path / "base"))),
    ):
        pass
    assert "made" in str(refused.value) and "base" in str(refused.value)
    assert registry.status()["components"] == [] and registry.memory.used() == 0


def test_reading_ahead_brings_the_base_too(folder, made):
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    assert registry.memory.fetches == 0
    registry.prefetch(over_one(folder, made[0]))
    assert registry.memory.fetches == 2


def test_a_component_names_its_folders_itself_first():
    component = Component("unet", "a:B", "own", base="old")
    assert [folder.source for folder in component.folders] == ["own", "old"]
    assert [folder.source for folder in replace(component, base="").folders] == ["own"]


def test_the_pocket_weights_of_cvd_stand_on_the_base_they_were_trained_on():
    """They hold only what differs: over another base they would be another network, and nothing would say so."""
    from models.pocket.recipes.cvd import BASE, WEIGHTS, WEIGHTS_NAME, digest

    noted = json.loads((WEIGHTS / "training.json").read_text())["base_sha256"]
    assert noted == digest(BASE / WEIGHTS_NAME), "export CVD's weights again: python -m models.pocket.recipes.cvd"
    own, base = (load_file(folder / WEIGHTS_NAME) for folder in (WEIGHTS / "unet", BASE))
    assert not [name for name in own if name in base and torch.equal(own[name], base[name])]
