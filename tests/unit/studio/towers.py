"""Towers of a few kilobytes for the registry's tests, so that every byte is known."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch

from studio.registry import Registry
from tests.unit.studio.tiny_networks import tower_recipe

SHAPES = {"text": (32, 8), "one": (32, 6), "two": (32, 5), "three": (24, 7), "vae": (16, 3)}
GENEROUS = 1 << 30


def registry_with(*arguments: Any, **more: Any) -> Any:
    """A registry whose pipelines are tests' own."""
    return Registry(*arguments, **more)


def recipe(folder: Path, method: str, *names: str):
    """text encodes, vae decodes, everything else denoises."""
    stage_of = {"text": ("encode",), "vae": ("decode",)}
    return tower_recipe(
        method, "Holder", **{name: (folder / name, stage_of.get(name, ("denoise",))) for name in names}
    )


def correct(pipeline: Any, answers: dict[str, torch.Tensor], *names: str) -> bool:
    return all(torch.equal(pipeline.compute(name), answers[name]) for name in names)


def run_all(work: list[Any], patience_seconds: float = 120) -> None:
    """Every function in a thread of its own; the first error of any of them."""
    errors: list[BaseException] = []

    def guarded(function: Any) -> None:
        try:
            function()
        except BaseException as error:  # brought to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience_seconds)
    assert not any(thread.is_alive() for thread in threads), "someone waits for ever"
    if errors:
        raise errors[0]
