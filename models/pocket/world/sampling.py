"""Seed -> scene, with splits: some colour x shape x motion combinations and identities never occur in training."""

from __future__ import annotations

import colorsys
import math
import zlib
from dataclasses import replace

import numpy as np

from models.pocket.world import scene as names
from models.pocket.world.scene import Person, Scene, Solid

SPLITS = ("train", "test", "held_out")
HELD_OUT_SHARE = 0.08
PEOPLE_SHARE = 0.38
PAIR_SHARE = 0.30
# A camera that moves leaves the solid's own motion to these, so that what is seen has one cause.
MOTIONS_UNDER_CAMERA = {"pans": ("still", "bounces"), "orbits": ("still", "bounces"), "moves": ("still", "bounces")}
NAMED_HUES = [colorsys.rgb_to_hsv(*rgb)[0] for rgb in names.COLOURS.values()]
HUE_APART = 25 / 360  # of a tint from every named hue
GREYISH = 0.06  # of the draws; seven in ten of the others are too near to a name


def held_out(*words: object) -> bool:
    """Whether a combination is kept out of all training: decided by its words alone, so every split agrees."""
    return zlib.crc32(" ".join(map(str, words)).encode()) % 1000 < 1000 * HELD_OUT_SHARE


def is_held_out(scene: Scene) -> bool:
    """True when the first solid's colour x shape x motion, or the person's identity, is never trained on."""
    if scene.person is not None:
        who = scene.person
        return held_out(who.skin, who.hair_colour, who.hair_style, who.eyes, who.glasses, who.beard)
    return any(held_out(s.colour, s.shape, s.motion) for s in scene.solids)


def sample_scene(seed: int, split: str = "train", people: float = PEOPLE_SHARE) -> Scene:
    """The scene of a seed. Splits never share a scene: "train", "test" (same kinds, other scenes),
    "held_out" (only combinations and identities that training never shows). `people` is the share of person scenes."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}.")
    for attempt in range(10_000):
        rng = np.random.default_rng((seed, SPLITS.index(split), attempt))
        found = _person_scene(rng) if rng.random() < people else _solid_scene(rng)
        if is_held_out(found) == (split == "held_out"):
            return replace(found, seed=seed)
    raise AssertionError("no scene of this split in 10,000 draws")


def tinted_scene(seed: int) -> Scene:
    """A scene of solids whose first has a colour without a name: greyish, or of a hue between the named ones. Every
    shape moves in every way in such colours, so what learns from them cannot tie a shape to a colour and a motion,
    and no combination of names that is held out is shown."""
    for attempt in range(10_000):
        rng = np.random.default_rng((seed, len(SPLITS), attempt))
        found = _solid_scene(rng)
        if not any(held_out(s.colour, s.shape, s.motion) for s in found.solids[1:]):
            first = replace(found.solids[0], colour="", tint=_tint(rng))
            return replace(found, solids=(first, *found.solids[1:]), seed=seed)
    raise AssertionError("no such scene in 10,000 draws")


def _tint(rng: np.random.Generator) -> tuple[float, float, float]:
    while True:
        hue, saturation, value = rng.random(), rng.uniform(0.25, 1), rng.uniform(0.35, 1)
        if rng.random() < GREYISH:
            saturation *= 0.15
        elif min(abs((hue - other + 0.5) % 1 - 0.5) for other in NAMED_HUES) < HUE_APART:
            continue
        return colorsys.hsv_to_rgb(hue, saturation, value)


def _pick(rng: np.random.Generator, options) -> str:
    options = tuple(options)
    return options[rng.integers(len(options))]


def _solid_scene(rng: np.random.Generator) -> Scene:
    camera = "still" if rng.random() < 0.5 else _pick(rng, names.CAMERAS[1:])
    motions = names.MOTIONS if camera == "still" else MOTIONS_UNDER_CAMERA[camera.split()[0]]
    first = _solid(rng, _pick(rng, motions))
    solids = (first,)
    if first.motion not in ("circles", "slides left", "slides right") and rng.random() < PAIR_SHARE:
        second = _solid(rng, "still")
        while second.colour == first.colour or second.shape == first.shape:
            second = _solid(rng, "still")
        side = 1 if rng.random() < 0.5 else -1
        solids = (
            replace(first, place=(-side * 1.02, first.place[1]), size=min(first.size, 0.86)),
            replace(second, place=(side * 1.02, second.place[1]), size=min(second.size, 0.86)),
        )
    return Scene(
        solids=solids,
        camera=camera,
        amount=float(rng.uniform(0.85, 1.15)),
        ground=_pick(rng, names.GROUNDS),
        sky=_pick(rng, names.SKIES),
        hills=tuple(rng.uniform(0, 2 * math.pi, 3).tolist()),
    )


def _solid(rng: np.random.Generator, motion: str) -> Solid:
    shape = _pick(rng, names.SHAPES)
    # stripes turn with the solid; without them a round solid would spin unseen
    striped = rng.random() < 0.3 or (motion == "spins" and shape in ("sphere", "cylinder", "cone"))
    return Solid(
        shape=shape,
        colour=_pick(rng, names.COLOURS),
        pattern="striped" if striped else "plain",
        motion=motion,
        size=float(rng.uniform(0.80, 1.0)),
        place=(float(rng.uniform(-0.25, 0.25)), float(rng.uniform(-0.3, 0.3))),
        turn=float(rng.uniform(-0.9, 0.9) if shape != "torus" else rng.uniform(-0.5, 0.5)),
        phase=float(rng.uniform(0, 1)) if motion == "circles" else float(rng.uniform(0, 0.3)),
    )


def _person_scene(rng: np.random.Generator) -> Scene:
    person = Person(
        skin=_pick(rng, names.SKINS),
        hair_colour=_pick(rng, names.HAIR_COLOURS),
        hair_style=_pick(rng, names.HAIR_STYLES),
        eyes=_pick(rng, names.EYES),
        glasses=bool(rng.random() < 0.4),
        beard=bool(rng.random() < 0.4),
        build=tuple(rng.uniform(-1, 1, 5).tolist()),
        hat=_pick(rng, ("none", "none", "cap", "wizard hat")),
        hat_colour=_pick(rng, names.COLOURS),
        shirt=_pick(rng, names.COLOURS),
        action=_pick(rng, names.ACTIONS),
    )
    return Scene(person=person, wall=_pick(rng, names.WALLS))
