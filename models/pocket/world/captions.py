"""Scene -> words, by a small grammar with synonyms; several wordings per scene. At most 34 words."""

from __future__ import annotations

import numpy as np

from models.pocket.world.scene import Person, Scene, Solid

SYNONYMS = {
    "sphere": ("sphere", "ball"),
    "cube": ("cube", "box"),
    "cylinder": ("cylinder", "can"),
    "cone": ("cone",),
    "torus": ("torus", "ring"),
    "purple": ("purple", "violet"),
    "bounces": ("bounces", "jumps up and down"),
    "spins": ("spins", "turns around itself"),
    "circles": ("circles", "moves in a circle"),
    "grows": ("grows", "gets bigger"),
    "rises": ("rises", "floats up"),
    "still": ("stands still", "rests"),
    "slides left": ("slides left", "moves to the left"),
    "slides right": ("slides right", "moves to the right"),
    "moves closer": ("camera moves closer", "camera zooms in"),
    "moves away": ("camera moves away", "camera zooms out"),
    "grass": ("grass", "a green lawn"),
    "sand": ("sand", "a sandy beach"),
    "stone": ("stone", "grey tiles"),
    "checkered": ("a checkered floor", "a chessboard floor"),
    "day": ("blue sky", "daylight"),
    "sunset": ("sunset", "evening sky"),
    "night": ("night", "night sky"),
    "smiles": ("smiles", "starts to smile"),
    "nods": ("nods", "nods twice"),
    "talks": ("talks", "speaks"),
    "looks around": ("looks around", "looks left and right"),
    "turns left": ("turns left", "turns the head left"),
    "turns right": ("turns right", "turns the head right"),
    "person": ("person", "cartoon person", "character"),
    "beard": ("a beard", "a full beard"),
    "wizard hat": ("wizard hat", "pointed hat"),
    "light": ("light", "pale"),
    "blond": ("blond", "yellow"),
}
OMITTED = 0.12
FILLERS = (
    "a an the person with skin hair eyes glasses and shirt hat cap beard in front of wall bald long short "
    "curly on next to beside camera pans orbits left right moves closer away zooms out striped plain at "
    "under with static shot wears wearing background is still video cartoon"
)


def caption(
    scene: Scene,
    rng: np.random.Generator | None = None,
    omitted: float = OMITTED,
    anonymous: bool = False,
    subject: str = "",
) -> str:
    """One wording of a scene. With no `rng`, the plain wording that names everything; with one, synonyms, any order,
    and each of skin, shirt, wall, ground and sky left out with probability `omitted`. `anonymous`: a person's identity
    stays unsaid, only dress, action and wall are told. `subject`: words in place of all that is said of the first
    subject's looks, for example "the object"."""
    if scene.person is not None:
        return _person(scene, scene.person, rng, omitted, anonymous, subject)
    return _solids(scene, rng, omitted, subject)


def vocabulary() -> list[str]:
    """Every word the grammar can write."""
    from models.pocket.world import scene as names

    words: set[str] = set(FILLERS.split())
    for table in (names.COLOURS, names.SHAPES, names.MOTIONS, names.CAMERAS, names.GROUNDS, names.SKIES, names.SKINS,
                  names.HAIR_COLOURS, names.HAIR_STYLES, names.EYES, names.ACTIONS, names.WALLS):  # fmt: skip
        for entry in table:
            words.update(entry.split())
    for wordings in SYNONYMS.values():
        for wording in wordings:
            words.update(wording.split())
    return sorted(words)


def _say(word: str, rng: np.random.Generator | None) -> str:
    wordings = SYNONYMS.get(word, (word,))
    return wordings[0] if rng is None else wordings[rng.integers(len(wordings))]


def _keep(rng: np.random.Generator | None, omitted: float) -> bool:
    return rng is None or rng.random() >= omitted


def _article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def _noun(solid: Solid, rng: np.random.Generator | None) -> str:
    looks = ["striped"] if solid.pattern == "striped" else []
    if solid.colour:
        looks.append(_say(solid.colour, rng))
    return _article(" ".join([*looks, _say(solid.shape, rng)]))


def _solids(scene: Scene, rng: np.random.Generator | None, omitted: float, subject: str = "") -> str:
    first = scene.solids[0]
    text = f"{subject or _noun(first, rng)} {_say(first.motion, rng)}"
    if len(scene.solids) > 1:
        joint = "next to" if rng is None or rng.random() < 0.6 else "beside"
        text += f" {joint} {_noun(scene.solids[1], rng)}"
    if _keep(rng, omitted):
        text += f" on {_say(scene.ground, rng)}"
    parts = [text]
    if _keep(rng, omitted):
        parts.append(_say(scene.sky, rng))
    if scene.camera != "still":
        parts.append(_say(scene.camera, rng) if scene.camera.startswith("moves") else f"camera {scene.camera}")
    elif rng is None or rng.random() < 0.5:
        parts.append("camera still" if rng is None or rng.random() < 0.5 else "static camera")
    return ", ".join(parts)


def _identity(person: Person, rng: np.random.Generator | None, omitted: float) -> list[str]:
    looks = [f"{_say(person.skin, rng)} skin"] if _keep(rng, omitted) else []
    if person.hair_style != "bald":
        looks.append(f"{person.hair_style} {_say(person.hair_colour, rng)} hair")
    if rng is None or rng.random() < 0.6:
        looks.append(f"{person.eyes} eyes")
    if person.glasses:
        looks.append("glasses")
    if person.beard:
        looks.append(_say("beard", rng))
    return looks


def _person(
    scene: Scene,
    person: Person,
    rng: np.random.Generator | None,
    omitted: float,
    anonymous: bool = False,
    subject: str = "",
) -> str:
    noun = _say("person", rng)
    if person.hair_style == "bald" and not anonymous:
        noun = f"bald {noun}"
    looks = [] if anonymous else _identity(person, rng, omitted)
    if person.hat != "none":
        looks.append(_article(f"{_say(person.hat_colour, rng)} {_say(person.hat, rng)}"))
    if _keep(rng, omitted):
        looks.append(_article(f"{_say(person.shirt, rng)} shirt"))
    if rng is not None:
        order = rng.permutation(len(looks))
        looks = [looks[i] for i in order]
    text = subject or _article(noun)
    if looks and not subject:
        text += " with " + (", ".join(looks[:-1]) + " and " + looks[-1] if len(looks) > 1 else looks[0])
    text += f" {_say(person.action, rng)}"
    if _keep(rng, omitted):
        text += (
            f" in front of a {scene.wall} wall" if rng is None or rng.random() < 0.6 else f", {scene.wall} background"
        )
    return text
