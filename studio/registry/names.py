"""Names in weights files of earlier library versions -> the network's own names today.

transformers 5 dropped `text_model.` and `vision_model.` from the CLIP and SigLIP towers; diffusers renamed the
attention layers of Stable Diffusion's VAE. Both libraries translate inside `from_pretrained`, which is not used here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

TOWERS = ("text_model.", "vision_model.")
OLD_ATTENTION = (
    (re.compile(r"(\.attentions\.\d+)\.query\."), r"\1.to_q."),
    (re.compile(r"(\.attentions\.\d+)\.key\."), r"\1.to_k."),
    (re.compile(r"(\.attentions\.\d+)\.value\."), r"\1.to_v."),
    (re.compile(r"(\.attentions\.\d+)\.proj_attn\."), r"\1.to_out.0."),
)


def match_names(
    expected: Collection[str], tied: Iterable[Collection[str]], stored: Iterable[str], ignored: Iterable[str] = ()
) -> tuple[dict[str, str], list[str], list[str]]:
    """(network's name -> name in the file, names missing, names unknown); tied names all lead to what is there.

    Of `tied` names one is enough. `ignored`: patterns, and names of buffers, that a file may hold in vain.
    """
    expected_set = set(expected)
    today: dict[str, str] = {}
    unknown: list[str] = []
    stored = list(stored)
    towers = {tower for tower in TOWERS if not any(name.startswith(tower) for name in expected_set)}
    other = TOWERS if towers and any(name.startswith(TOWERS) for name in stored) else ()
    for name in stored:
        candidate = _translated(name, expected_set, towers)
        if candidate in expected_set and candidate not in today:
            today[candidate] = name
        elif not any(re.search(pattern, name) for pattern in ignored) and not _of_other_tower(name, other, today):
            unknown.append(name)
    for group in tied:
        present = next((name for name in group if name in today), None)
        if present is not None:
            today |= dict.fromkeys(group, today[present])
    return {n: today[n] for n in expected if n in today}, [n for n in expected if n not in today], unknown


def _translated(name: str, expected: set[str], towers: Collection[str]) -> str:
    if name in expected:
        return name
    for tower in towers:
        if name.startswith(tower) and name.removeprefix(tower) in expected:
            return name.removeprefix(tower)
    for pattern, replacement in OLD_ATTENTION:
        new = pattern.sub(replacement, name)
        if new != name:
            return new
    return name


def _of_other_tower(name: str, towers: Collection[str], today: Mapping[str, str]) -> bool:
    """A whole CLIP or SigLIP checkpoint where one tower is wanted: the other one, and what joins the two."""
    if not towers:
        return False
    own = next((source.split(".")[0] + "." for source in today.values() if source.startswith(tuple(towers))), None)
    other = name.startswith(tuple(tower for tower in towers if tower != own))
    return own is not None and (other or name in ("logit_scale", "logit_bias"))
