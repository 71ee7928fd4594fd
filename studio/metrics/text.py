"""Text agreement: does the clip show what the prompt says?"""

from __future__ import annotations

import numpy as np

from studio.metrics.networks import answer_chances, clip_pictures, clip_words
from studio.metrics.score import Metric, NotComparable, Reading
from studio.metrics.take import Take

IN_TIME = ("motion", "camera", "action")  # questions that no single frame answers


def read(take: Take) -> Reading:
    """For clips of the world the mean chance, in %, that its judge gives to what the prompt names; for others
    100 times the cosine of CLIP's vectors of prompt and frame (CLIPScore), the mean over the frames."""
    if not take.facts.prompt.strip():
        raise NotComparable("There is no prompt.")
    return _world(take) if take.facts.world else _clip(take)


def _world(take: Take) -> Reading:
    from models.pocket.world.reading import read_caption

    asked = read_caption(take.facts.prompt)
    if not asked:
        raise NotComparable("The prompt names nothing that the pocket world knows.")
    frames = take.frames
    whole = agreement(asked, answer_chances(frames[None]))
    stills = np.repeat(frames[:, None], min(len(frames), 8), axis=1)
    seen = {question: answer for question, answer in asked.items() if question not in IN_TIME}
    curve = agreement(seen, answer_chances(stills)) if seen else np.full(len(frames), np.nan)
    values = tuple(None if np.isnan(value) else float(value) for value in curve)
    return Reading(float(whole[0]), values, f"{len(asked)} things named, as the world's judge sees them")


def agreement(asked: dict[str, str], chances: dict[str, np.ndarray]) -> np.ndarray:
    """Mean chance, in %, of the answers asked for, one per clip of the batch.

    Of two solids at rest the judge calls the left one the first; the words do not say which that is, so the order
    that agrees better counts.
    """
    from models.pocket.judge import QUESTIONS

    orders = [asked]
    if asked.get("motion") == "still" and "second shape" in asked:
        pairs = (("shape", "second shape"), ("colour", "second colour"))
        names = {a: b for first, second in pairs for a, b in ((first, second), (second, first))}
        orders.append({names.get(question, question): answer for question, answer in asked.items()})
    means = [
        np.mean([chances[q][:, QUESTIONS[q].index(answer)] for q, answer in order.items()], axis=0) for order in orders
    ]
    return 100 * np.max(means, axis=0)


def _clip(take: Take) -> Reading:
    words = clip_words(take.facts.prompt, take.facts.weights_dir)
    curve = 100 * clip_pictures(take.frames, take.facts.weights_dir) @ words
    return Reading(float(curve.mean()), tuple(curve.tolist()), "CLIP ViT-B/32")


METRIC = Metric(
    name="text",
    title="Text agreement",
    unit="% (pocket), 100 x cosine (full)",
    lowest=0.0,
    highest=100.0,
    better="higher",
    anchors=None,
    help="How much of what the prompt names is seen: by the world's judge in pocket clips, by CLIP in others.",
    needs="a prompt; for clips that are not pocket clips CLIP ViT-B/32 on disk",
    not_comparable="between pocket and full clips, or between different prompts",
    read=read,
)
