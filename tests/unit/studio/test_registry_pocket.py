"""Methods of the studio over a registry with little memory: weights come and go beneath them, the pixels stay."""

from __future__ import annotations

import numpy as np
import pytest

from models.method import Recipe, Request
from studio.presets import load_presets, request_with
from studio.registry import Registry, WeightsError
from studio.registry.options import Options
from tests.unit.studio.counting_device import SmallMemory

PRESETS = load_presets()


def frames_of(registry: Registry, recipe: Recipe, request: Request) -> np.ndarray:
    with registry.acquire(recipe, request=request) as pipeline:
        return pipeline(request, lambda step: None)[0].frames


@pytest.mark.parametrize("name", ["customvideox", "mcm"])
def test_a_method_that_changes_its_weights_does_so_when_they_are_there(name):
    """Its weights are not in memory before it computes with them: what stands in for them is no number."""
    preset = PRESETS[f"{name}/pocket"]
    request = request_with(preset.request, {"num_inference_steps": 1})
    device = SmallMemory(1 << 30)
    whole = frames_of(Registry(hardware=device), preset.recipe, request)
    little = SmallMemory(int(device.peak_live * 0.8))
    assert np.array_equal(frames_of(Registry(hardware=little), preset.recipe, request), whole)
    assert little.peak_live <= little.budget
    least = SmallMemory(device.peak_live // 3)
    try:
        assert np.array_equal(frames_of(Registry(hardware=least), preset.recipe, request), whole)
    except WeightsError as refused:
        assert "GiB of memory for weights" in str(refused)


@pytest.mark.parametrize("name", ["customvideox", "mcm"])
def test_a_method_that_changes_its_weights_does_so_when_they_rest_in_float8(name):
    preset = PRESETS[f"{name}/pocket"]
    request = request_with(preset.request, {"num_inference_steps": 2})
    options = Options(small_weights="float8")
    exact, small = (frames_of(Registry("cpu", options=o), preset.recipe, request).astype(int) for o in (None, options))
    assert 0 < np.abs(small - exact).mean() < 5, "grey levels; without what it adds to its weights it is over 20"
