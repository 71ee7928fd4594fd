"""Names in weights files of earlier library versions -> the network's own names today.

transformers 5 dropped `text_model.` and `vision_model.` from the CLIP and SigLIP towers; diffusers renamed the
attention layers of Stable Diffusion's VAE. Both libraries translate inside `from_pretrained`, which is not used here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

TOWERS = ("text_model.", "vision_model.")
JOINTS = ("logit_scale", "logit_bias")
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
    towers = {tower for tower in TOWERS if not any(name.startswith(tower) for name in expected_set)}
    for name in stored:
        candidate = _translated(name, expected_set, towers)
        if candidate in expected_set and candidate not in today:
            today[candidate] = name
        elif not any(re.search(pattern, name) for pattern in ignored):
            unknown.append(name)
    own = {tower for tower in towers if any(source.startswith(tower) for source in today.values())}
    if own:  # a whole CLIP or SigLIP where one tower is wanted: the other, and what joins the two, are not
        unknown = [name for name in unknown if not name.startswith(tuple({*TOWERS} - own)) and name not in JOINTS]
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
