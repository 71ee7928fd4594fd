"""CLIP's reading of prompts."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def encode_prompts(tokenizer: Any, text_encoder: Any, prompts: list[str]) -> Float[Tensor, "prompts tokens dim"]:
    """Last hidden states of every prompt, padded and cut to the tokenizer's length."""
    tokens = tokenizer(
        prompts, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )
    device = next(text_encoder.parameters()).device
    with torch.no_grad():
        return text_encoder(tokens.input_ids.to(device))[0]
