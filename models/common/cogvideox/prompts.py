"""Words to text embeddings with CogVideoX's T5 encoder."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)


@torch.no_grad()
def encode_prompts(tokenizer: Any, text_encoder: Any, prompts: list[str], max_length: int) -> Tensor:
    """[prompts, max_length, dim]: padded and cut to a fixed length, no attention mask, as CogVideoX was trained."""
    tokens = tokenizer(prompts, padding="max_length", max_length=max_length, truncation=True, return_tensors="pt")
    for prompt in prompts:
        length = len(tokenizer(prompt).input_ids)
        if length > max_length:
            logger.warning("The prompt has %d tokens; the text encoder sees the first %d.", length, max_length)
    return text_encoder(tokens.input_ids.to(text_encoder.device))[0]
