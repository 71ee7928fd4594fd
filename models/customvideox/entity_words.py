"""The subject in the prompt: its words, found by a small grammar or given by hand, and their tokens."""

from __future__ import annotations

import re
from typing import Any

DETERMINERS = frozenset((
    "a", "an", "the", "this", "that", "one", "my", "his", "her", "its", "our", "their", "your", "some",
))  # fmt: skip
# what may follow a subject: prepositions, auxiliaries, conjunctions, and common verbs of prompts that end otherwise
ENDS = frozenset((
    "in", "on", "at", "by", "with", "without", "of", "from", "to", "into", "onto", "over", "under", "above",
    "below", "behind", "before", "beside", "between", "near", "next", "through", "across", "along", "around",
    "against", "inside", "outside", "toward", "towards", "up", "down", "off", "past", "is", "are", "was",
    "were", "be", "being", "been", "has", "have", "had", "does", "do", "did", "can", "could", "will", "would",
    "may", "might", "must", "and", "or", "but", "while", "as", "when", "where", "who", "which", "that", "then",
    "there", "run", "walk", "fly", "swim", "sit", "stand", "jump", "dance", "lie", "move", "turn", "spin",
    "float", "slide", "roll",
))  # fmt: skip
MAXIMUM = 6  # words of a subject
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def find_entity(prompt: str) -> str:
    """The prompt's first noun phrase without its article: "A golden retriever runs along" -> "golden retriever"."""
    words = list(WORD.finditer(prompt))
    start = 0
    while start < len(words) and words[start].group().lower() in DETERMINERS:
        start += 1
    end = start
    while end < len(words) and end - start < MAXIMUM:
        word = words[end].group().lower()
        broken = end > start and prompt[words[end - 1].end() : words[end].start()].strip() != ""
        if end > start and (broken or word in ENDS or word in DETERMINERS or _is_verb(word)):
            break
        end += 1
    if start == len(words):
        return prompt.strip()
    return prompt[words[start].start() : words[max(end, start + 1) - 1].end()]


def entity_span(prompt: str, entity: str) -> tuple[int, int]:
    """First and last character (exclusive) of the subject in the prompt. ValueError if its words are not there."""
    entity = " ".join(entity.split())
    pattern = r"\s+".join(map(re.escape, entity.split()))
    found = re.search(rf"(?<!\w){pattern}(?!\w)", prompt, re.IGNORECASE) if entity else None
    if found is None:
        raise ValueError(
            f"The subject {entity!r} is not in the prompt. Write it as it stands there, for example"
            f" {find_entity(prompt)!r}, or leave it empty."
        )
    return found.span()


def entity_tokens(tokenizer: Any, prompt: str, entity: str, max_length: int) -> list[int]:
    """Places of the subject's tokens among the first `max_length`. `entity` empty: found in the prompt."""
    start, end = entity_span(prompt, entity or find_entity(prompt))
    offsets = tokenizer(prompt, return_offsets_mapping=True, truncation=True, max_length=max_length)["offset_mapping"]
    places = [i for i, (first, last) in enumerate(offsets) if first < end and last > start and last > first]
    if not places:
        raise ValueError(
            f"The subject {prompt[start:end]!r} lies behind the {max_length} tokens that the network reads."
        )
    return places


def _is_verb(word: str) -> bool:
    """Third person and participles; nouns of that look ("glasses") are what correcting by hand is for."""
    return (word.endswith("s") and not word.endswith(("ss", "us", "is"))) or (word.endswith("ing") and len(word) > 4)
