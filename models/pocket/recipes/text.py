"""The pocket text encoder: a T5 tokenizer whose pieces are the world's words, and a two-layer T5 encoder."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Regex, normalizers
from torch import Tensor
from transformers import PreTrainedTokenizerBase, T5Config, T5EncoderModel, T5Tokenizer

from models.pocket.world.captions import vocabulary

MAX_TOKENS = 36
DIM = 64


def build_tokenizer() -> T5Tokenizer:
    """One piece per word, lower case, punctuation dropped; any other word is <unk>."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + [(f"▁{word}", -1.0) for word in vocabulary()]
    tokenizer = T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=MAX_TOKENS)  # pyright: ignore[reportArgumentType]
    backend = tokenizer.backend_tokenizer
    cleaning = [normalizers.Lowercase(), normalizers.Replace(Regex("[^a-z]+"), " "), normalizers.Strip()]
    backend.normalizer = normalizers.Sequence(cleaning)  # pyright: ignore[reportAttributeAccessIssue]
    return tokenizer


def build_encoder(vocabulary_size: int) -> T5EncoderModel:
    config = T5Config(
        vocab_size=vocabulary_size, d_model=DIM, d_kv=16, num_heads=4, d_ff=128, num_layers=2, dropout_rate=0.0,
        feed_forward_proj="gated-gelu", relative_attention_num_buckets=32,
        tie_word_embeddings=False,  # pyright: ignore[reportCallIssue] -- read in __post_init__, not a field
    )  # fmt: skip
    return T5EncoderModel(config)


def tokenize(tokenizer: PreTrainedTokenizerBase, captions: list[str]) -> Tensor:
    """Token ids [batch, tokens], padded and cut to the tokenizer's length."""
    batch = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt")
    return batch["input_ids"]


def save(tokenizer: T5Tokenizer, encoder: T5EncoderModel, folder: Path) -> None:
    tokenizer.save_pretrained(folder / "tokenizer")
    encoder.half().save_pretrained(folder / "text_encoder")
