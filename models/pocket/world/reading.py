"""Words -> what they ask for: the caption grammar read backwards. What is not said is not asked."""

from __future__ import annotations

import re

from models.pocket.world import scene as names
from models.pocket.world.captions import SYNONYMS

OWN_CAMERA_WORDS = {"moves closer", "moves away"}


def read_caption(words: str) -> dict[str, str]:
    """Question of the judge -> the answer that the words name, for example {"shape": "sphere", "motion": "bounces"}.

    Also reads captions with other attributes left out or in another order; unknown words are passed over.
    """
    text = " ".join(re.findall(r"[a-z]+", words.lower()))
    person = re.search(rf"\b(?:{_any('person')}|{_options(names.ACTIONS)}|skin|shirt)\b", text)
    return _person(text) if person else _solids(text)


def _solids(text: str) -> dict[str, str]:
    said: dict[str, str] = {}
    moved = re.search(r"\bcamera (pans|orbits) (left|right)\b", text)
    if moved:
        said["camera"] = f"{moved[1]} {moved[2]}"
    else:
        said |= _first("camera", text, sorted(OWN_CAMERA_WORDS))
        if re.search(r"\b(camera still|static camera|static shot)\b", text):
            said["camera"] = "still"
    text = re.sub(rf"\bcamera (?:pans|orbits) \w+|\b(?:{_options(OWN_CAMERA_WORDS)})\b|\bcamera still\b", " ", text)
    ground = _first("ground", text, names.GROUNDS)
    sky = _first("sky", text, names.SKIES)
    for wording in (SYNONYMS.get(value, ()) for value in ("day", *names.GROUNDS)):
        text = re.sub(rf"\b(?:{'|'.join(wording) or 'day'})\b", " ", text)  # "blue sky" is no blue solid
    noun = rf"(striped )?(?:({_options(names.COLOURS)}) )?\b({_options(names.SHAPES)})\b"
    for prefix, found in zip(("", "second "), re.finditer(noun, text), strict=False):
        said[f"{prefix}shape"] = _canonical(found[3], names.SHAPES)
        if found[2]:
            said[f"{prefix}colour"] = _canonical(found[2], names.COLOURS)
        if not prefix and found[2]:
            said["pattern"] = "striped" if found[1] else "plain"
    if "shape" in said:
        said["kind"] = "solids"
        said["count"] = "two" if "second shape" in said else "one"
    return said | _first("motion", text, names.MOTIONS) | ground | sky


def _person(text: str) -> dict[str, str]:
    said = {"kind": "person"} | _first("action", text, names.ACTIONS)
    if found := re.search(rf"\b({_options(names.SKINS)}) skin\b", text):
        said["skin"] = _canonical(found[1], names.SKINS)
    if found := re.search(rf"\b({_options(names.HAIR_STYLES)}) ({_options(names.HAIR_COLOURS)}) hair\b", text):
        said |= {"hair style": found[1], "hair colour": _canonical(found[2], names.HAIR_COLOURS)}
    if re.search(r"\bbald\b", text):
        said["hair style"] = "bald"
    said |= {question: "yes" for question in ("glasses", "beard") if re.search(rf"\b{question}\b", text)}
    said |= _first("hat", text, names.HATS[1:])
    if found := re.search(rf"\b({_options(names.COLOURS)}) shirt\b", text):
        said["shirt"] = _canonical(found[1], names.COLOURS)
    if found := re.search(rf"\b({_options(names.WALLS)}) (?:wall|background)\b", text):
        said["wall"] = found[1]
    return said


def _first(question: str, text: str, values) -> dict[str, str]:
    """The value whose wording comes first in the text, the longer wording where two begin alike."""
    places = [(found.start(), -len(found[0]), value) for value in values
              if (found := re.search(rf"\b(?:{_any(value)})\b", text))]  # fmt: skip
    return {question: min(places)[2]} if places else {}


def _wordings(value: str) -> tuple[str, ...]:
    return (*SYNONYMS.get(value, ()), value)


def _any(value: str) -> str:
    return "|".join(sorted(_wordings(value), key=len, reverse=True))


def _options(values) -> str:
    return "|".join(sorted((wording for value in values for wording in _wordings(value)), key=len, reverse=True))


def _canonical(wording: str, values) -> str:
    return next(value for value in values if wording in _wordings(value))
