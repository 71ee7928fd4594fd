"""The AnimateDiff kind's pocket text encoder: a CLIP tokenizer that knows the world's words, and a two-layer CLIP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from models.pocket.world.captions import vocabulary

MAX_TOKENS = 44
DIM = 64
START, END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer() -> CLIPTokenizer:
    """Byte pairs merged until every word of the world, and the comma, is one token; other words fall into pieces."""
    pairs = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    pairs.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    trainer: Any = trainers.BpeTrainer(
        vocab_size=10_000, min_frequency=1, special_tokens=[START, END], end_of_word_suffix="</w>", show_progress=False
    )
    pairs.train_from_iterator([" ".join([*vocabulary(), ","])], trainer)
    model = json.loads(pairs.to_str())["model"]
    merges: Any = [tuple(pair) for pair in model["merges"]]  # annotated as strings, taken as pairs
    return CLIPTokenizer(vocab=model["vocab"], merges=merges, model_max_length=MAX_TOKENS)


def build_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    ids: Any = tokenizer  # its ids are annotated as anything a tokenizer's attribute can be
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=DIM, intermediate_size=4 * DIM, projection_dim=DIM,
        num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=MAX_TOKENS,
        bos_token_id=ids.bos_token_id, eos_token_id=ids.eos_token_id,
        pad_token_id=ids.pad_token_id,
    )  # fmt: skip
    return CLIPTextModel(config)


def save(tokenizer: CLIPTokenizer, encoder: CLIPTextModel, folder: Path) -> None:
    tokenizer.save_pretrained(folder / "tokenizer")
    encoder.half().save_pretrained(folder / "text_encoder")
