"""What the tests of downloads share: a loopback hub in place of the real one, and a preset that needs its files."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from models.method import Conversion, Published
from studio.presets import Preset
from studio.weights.fetching import Progress, get
from studio.weights.library import Library
from tests.fakes.hub import Hub, running_hub
from tests.fakes.parcel import METHOD, ParcelRequest, ParcelWeights

COMMIT = "c" * 40
BIG = 3 << 20  # bytes of the network: several chunks
NETWORK = "unet/diffusion_pytorch_model.safetensors"


def network_files() -> dict[str, bytes]:
    """A repository as publishers leave it: the network, the same in two other formats, words, a licence."""
    values = np.random.default_rng(0).integers(0, 255, BIG, dtype=np.uint8)
    return {
        "unet/config.json": json.dumps({"_class_name": "Network"}).encode(),
        NETWORK: save({"weight": values}),
        "unet/diffusion_pytorch_model.fp16.safetensors": save({"weight": values[:2000]}),
        "unet/diffusion_pytorch_model.bin": bytes(5000),
        "tokenizer/vocab.json": b'{"a": 1}',
        "tokenizer/weights.h5": bytes(5000),
        "LICENSE": b"not for sale",
    }


@dataclass
class Shop:
    """A hub, a library that fetches from it, and what the fetching said."""

    hub: Hub
    library: Library
    folder: Path
    said: list[Progress]

    def preset(self, conversions: tuple[Conversion, ...] = (), name: str = "full", **weights: str) -> Preset:
        chosen = weights or {"network": "hub:quintet/parcel:unet", "words": "hub:quintet/parcel:tokenizer"}
        method = replace(METHOD, conversions=conversions)
        return Preset(name, "Parcel", method, ParcelWeights(**chosen), ParcelRequest(), self.folder / "full.yaml")

    def get(self, preset: Preset, stop: Callable[[], bool] = lambda: False, by_hand: Path | None = None) -> None:
        get(self.library, preset, self.said.append, stop, by_hand)

    def stacking(self, **options: Any) -> Conversion:
        """Two files, one after the other, below a folder of this test."""
        sources = {
            "first": Published("hub:quintet/parcel@main:LICENSE"),
            "second": Published("hub:quintet/parcel@main:tokenizer/vocab.json"),
        }
        return Conversion(str(self.folder / "made"), "tests.fakes.parcel:stack", sources, options)


@contextlib.contextmanager
def open_shop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """huggingface_hub reads its settings from the environment at import, so they are changed in its module."""
    from huggingface_hub import constants

    with running_hub() as hub:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
        hub.publish("quintet/parcel", network_files(), COMMIT)
        yield Shop(hub, Library(folder / "cache"), folder, [])
