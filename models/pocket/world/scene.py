"""What a scene is, in words and a few numbers. Rendering and captions both read only this."""

from __future__ import annotations

from dataclasses import dataclass, field

COLOURS = {
    "red": (0.86, 0.10, 0.10),
    "orange": (0.98, 0.50, 0.05),
    "yellow": (0.96, 0.88, 0.12),
    "green": (0.10, 0.62, 0.18),
    "blue": (0.12, 0.28, 0.90),
    "purple": (0.56, 0.14, 0.72),
}
SHAPES = ("sphere", "cube", "cylinder", "cone", "torus")
PATTERNS = ("plain", "striped")
MOTIONS = ("still", "bounces", "slides left", "slides right", "spins", "circles", "grows", "rises")
CAMERAS = ("still", "pans left", "pans right", "orbits left", "orbits right", "moves closer", "moves away")
GROUNDS = ("grass", "sand", "stone", "checkered")
SKIES = ("day", "sunset", "night")

SKINS = {"light": (0.98, 0.80, 0.68), "tan": (0.80, 0.56, 0.38), "dark": (0.42, 0.26, 0.17)}
HAIR_COLOURS = {
    "black": (0.07, 0.06, 0.07),
    "blond": (0.96, 0.84, 0.40),
    "red": (0.76, 0.26, 0.06),
    "white": (0.92, 0.92, 0.93),
}
HAIR_STYLES = ("short", "long", "curly", "bald")
EYES = {"brown": (0.32, 0.17, 0.06), "blue": (0.15, 0.42, 0.92), "green": (0.15, 0.60, 0.28)}
HATS = ("none", "cap", "wizard hat")
ACTIONS = ("smiles", "nods", "looks around", "turns left", "turns right", "talks")
WALLS = {
    "blue": (0.38, 0.56, 0.88),
    "green": (0.44, 0.72, 0.46),
    "grey": (0.62, 0.63, 0.66),
    "pink": (0.93, 0.60, 0.72),
}


@dataclass(frozen=True)
class Solid:
    """A solid on the ground. `size`: radius in world units; `place`: ground position (x, z); `turn` in radians.
    `tint`: RGB in [0, 1] of a colour that has no name; `colour` is "" then."""

    shape: str
    colour: str
    pattern: str = "plain"
    motion: str = "still"
    size: float = 0.9
    place: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.4
    phase: float = 0.0
    tint: tuple[float, float, float] | None = None

    @property
    def rgb(self) -> tuple[float, float, float]:
        return self.tint or COLOURS[self.colour]


@dataclass(frozen=True)
class Person:
    """A cartoon head and shoulders. The first group of fields is the identity; `build` is its continuous part,
    (face width, face height, eye spacing, nose size, jaw), each in [-1, 1]."""

    skin: str
    hair_colour: str
    hair_style: str
    eyes: str
    glasses: bool
    beard: bool
    build: tuple[float, float, float, float, float]
    hat: str = "none"
    hat_colour: str = "red"
    shirt: str = "blue"
    action: str = "smiles"
    phase: float = 0.0

    @property
    def identity(self) -> tuple[object, ...]:
        """What stays the same in another video of the same person."""
        return (self.skin, self.hair_colour, self.hair_style, self.eyes, self.glasses, self.beard, self.build)


@dataclass(frozen=True)
class Scene:
    """One scene: one or two solids under a sky, or a person before a wall. `amount` scales the camera's movement."""

    solids: tuple[Solid, ...] = ()
    person: Person | None = None
    camera: str = "still"
    amount: float = 1.0
    ground: str = "grass"
    sky: str = "day"
    wall: str = "blue"
    hills: tuple[float, float, float] = field(default=(0.0, 0.0, 0.0))
    seed: int = 0
