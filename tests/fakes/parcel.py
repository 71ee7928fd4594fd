"""A method whose weights must be fetched: files of a hub, an address and a file from a browser, and a conversion."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.method import Clip, Component, Method, OnStep, Recipe, Request, Step, Terms, number, text


@dataclass
class ParcelRequest(Request):
    """What a person can ask of it."""

    prompt: str = text("What happens in the video", default="a parcel", required=True)
    seed: int = number(1, "The same seed and settings give the same video", minimum=0)


@dataclass
class ParcelWeights:
    """Sources; an empty one is not needed."""

    network: str = ""
    words: str = ""
    made: str = ""
    extra: str = ""  # fetched with the others, not loaded


def recipe(weights: ParcelWeights) -> Recipe:
    """Its parts."""
    parts = [Component("network", "tests.fakes.parcel:Network", weights.network)] if weights.network else []
    if weights.words:
        parts.append(Component("words", "tests.fakes.parcel:Words", weights.words, ("encode",), "files"))
    return Recipe("parcel", "tests.fakes.parcel:Pipeline", tuple(parts))


class Words:
    """The file of words, as the registry loads a tokenizer."""

    def __init__(self, known: dict[str, int]) -> None:
        self.known = known

    @classmethod
    def from_pretrained(cls, folder: Path) -> Words:
        return cls(json.loads((Path(folder) / "vocab.json").read_text(encoding="utf-8")))


class Pipeline:
    """As grey as its words are many."""

    def __init__(self, words: Words) -> None:
        self.words = words

    def __call__(self, request: ParcelRequest, on_step: OnStep) -> list[Clip]:
        on_step(Step(1, 1))
        return [Clip(np.full((8, 64, 64, 3), 40 * len(self.words.known), np.uint8), 8)]


def stack(first: Path, second: Path, output: Path, times: int = 1) -> None:
    """A conversion: both files, one after the other. ValueError when the first is empty."""
    content = first.read_bytes()
    if not content:
        raise ValueError(f"{first.name} is empty; it should hold something.")
    (output / "stacked.bin").write_bytes(content * times + second.read_bytes())


METHOD = Method(
    name="parcel",
    title="Parcel",
    summary="Weights by post.",
    paper="",
    request=ParcelRequest,
    weights=ParcelWeights,
    recipe=recipe,
    terms=(
        Terms(
            "The parcel",
            "https://example.org/parcel",
            3_000_000,
            "CC BY-NC 4.0",
            non_commercial=True,
            covers=("hub:quintet/parcel",),
        ),
    ),
)
