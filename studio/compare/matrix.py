"""Which methods, with their idea on or off, can take a brief, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from models.method import Ablation, Request, request_fields
from studio.compare.brief import WORDS, Brief, Role, request_of, roles
from studio.presets import Preset

Ready = Callable[[Preset], str]  # "" when the weights are here, else a sentence


@dataclass(frozen=True)
class Variant:
    """A method with a set of weights, whole or with one of its ideas off."""

    preset: Preset
    ablation: Ablation | None = None

    @property
    def key(self) -> str:
        """ "repvideo/pocket" or "repvideo/pocket:feature_cache"."""
        return self.preset.key + (f":{self.ablation.name}" if self.ablation else "")

    @property
    def idea(self) -> str:
        """The idea that is off, in a word or two: "feature cache off"; "" when all are on."""
        return f"{self.ablation.label.lower().removesuffix(' off')} off" if self.ablation else ""

    @property
    def label(self) -> str:
        return f"{self.preset.title}, {self.idea}" if self.ablation else self.preset.title

    @property
    def off(self) -> Mapping[str, Any]:
        return self.ablation.off if self.ablation else {}

    def request(self, brief: Brief, changes: Mapping[str, Any] | None = None) -> Request:
        """ValueError when this method or these weights cannot make it."""
        request = request_of(self.preset, brief, dict(self.off) | dict(changes or {}))
        self.preset.check(request)
        return request


@dataclass(frozen=True)
class Fit:
    """How a variant takes a brief. `reason` is empty when it can; `ignores` says what of the brief it does not use.

    `here` tells whether its weights are on this machine at all.
    """

    variant: Variant
    takes: tuple[str, ...]
    ignores: tuple[str, ...] = ()
    reason: str = ""
    here: bool = True

    @property
    def possible(self) -> bool:
        return not self.reason


def variants(presets: Iterable[Preset]) -> dict[str, Variant]:
    """Every method whole and with each of its ideas off, by key."""
    found = [Variant(preset, idea) for preset in presets for idea in (None, *preset.method.ablations)]
    return {variant.key: variant for variant in found}


def pair(chosen: Mapping[str, Variant], key: str) -> tuple[str, ...]:
    """A method and each of its ideas off: what the button beside it compares."""
    preset = chosen[key].preset.key
    return tuple(name for name, variant in chosen.items() if variant.preset.key == preset)


def fits(candidates: Iterable[Variant], brief: Brief, ready: Ready) -> dict[str, Fit]:
    """The applicability matrix, by the variant's key."""
    return {variant.key: fit(variant, brief, ready) for variant in candidates}


def fit(variant: Variant, brief: Brief, ready: Ready) -> Fit:
    """Whether one variant can take the brief; the first reason found is the one told."""
    fields = roles(variant.preset.method.request)
    takes = tuple(WORDS[role] for role in fields if role not in ("negative_prompt", "seed"))
    shown: tuple[Role, ...] = ("person", "subject", "cameras")
    ignores = tuple(WORDS[role] for role in shown if role in brief.given() and role not in fields)
    absent = ready(variant.preset)
    reason = absent or _missing(variant, brief) or _refused(variant, brief)
    return Fit(variant, takes, ignores, reason, here=not absent)


def weights_here(preset: Preset) -> str:
    """ "" when every part of the preset's weights lies on this machine, else a sentence. Reads names, no weights."""
    from studio.registry.files import WeightsError, find_folder

    try:
        for component in preset.recipe.components:
            for folder in component.folders:
                find_folder(folder.source)
    except WeightsError as error:
        return error.message
    except ValueError as error:  # a recipe that these weights do not make
        return str(error)
    return ""


def _missing(variant: Variant, brief: Brief) -> str:
    infos = request_fields(variant.preset.method.request)
    given = brief.given()
    needed: list[Role] = [role for role, name in roles(variant.preset.method.request).items() if infos[name].required]
    missing = [WORDS[role] for role in needed if role not in given]
    return f"Needs a picture of {missing[0]}." if missing else ""


def _refused(variant: Variant, brief: Brief) -> str:
    try:
        variant.request(brief)
    except ValueError as error:
        return str(error)
    return ""
