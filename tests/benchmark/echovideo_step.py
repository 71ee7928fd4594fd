"""One guided EchoVideo step against bare CogVideoX of equal size, and against a port that fuses words and face at
every step as the authors' code does. Same weights, same output, steps taken in turns; one JSON object comes last.

    OMP_NUM_THREADS=1 python -m tests.benchmark.echovideo_step [--rounds 40]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXTransformer3DModel
from torch import Tensor

from models.common.cogvideox.rotary import rotary_for
from models.echovideo.transformer import EchoVideoTransformer3DModel

BOUND = 1.01  # of a bare step
WARM = 3  # rounds that do not count
# 13 latent frames of 12x12; the fusion's sizes keep the release's proportions to words and width
COGVIDEOX = {
    "num_attention_heads": 4, "attention_head_dim": 64, "in_channels": 32, "out_channels": 16, "num_layers": 4,
    "text_embed_dim": 384, "max_text_seq_length": 56, "time_embed_dim": 64, "sample_width": 12, "sample_height": 12,
    "sample_frames": 49, "use_rotary_positional_embeddings": True,
}  # fmt: skip
FUSION = {
    "face_embed_dim": 96, "face_seq_length": 49, "face_features_embed_dim": 64, "face_features_seq_length": 36,
    "resampler_dim": 128, "resampler_depth": 4, "resampler_dim_head": 32, "resampler_heads": 3,
    "resampler_queries": 4,
}  # fmt: skip


def networks() -> tuple[EchoVideoTransformer3DModel, CogVideoXTransformer3DModel]:
    """Ours and diffusers' own, with the same weights."""
    torch.manual_seed(0)
    ours = EchoVideoTransformer3DModel(**COGVIDEOX, **FUSION).eval()
    bare = CogVideoXTransformer3DModel(**COGVIDEOX).eval()
    state = ours.state_dict()
    bare.load_state_dict({name: state[name] for name in bare.state_dict()})
    return ours, bare


def steps() -> dict[str, Callable[[], Tensor]]:
    """The three ways to make the same prediction, both branches of the guidance in one batch."""
    ours, bare = networks()
    words = torch.randn(2, COGVIDEOX["max_text_seq_length"], COGVIDEOX["text_embed_dim"])
    face = torch.randn(2, FUSION["face_seq_length"], FUSION["face_embed_dim"])
    identity = torch.randn(2, FUSION["face_features_seq_length"], FUSION["face_features_embed_dim"])
    latents = torch.randn(2, 13, COGVIDEOX["in_channels"], 12, 12)
    timestep = torch.tensor([500, 500])
    rotary = rotary_for(ours.config, 13, 12, 12)
    fused = ours.fuse_text(words, face, identity)

    def predict(network: CogVideoXTransformer3DModel, text: Tensor) -> Tensor:
        return network(latents, text, timestep, image_rotary_emb=rotary, return_dict=False)[0]

    return {
        "bare": lambda: predict(bare, fused),
        "ours": lambda: predict(ours, fused),
        "port": lambda: predict(ours, ours.fuse_text(words, face, identity)),
    }


def measure(ways: dict[str, Callable[[], Tensor]], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of every step; a round takes each way once, in an order that rotates."""
    names = list(ways)
    spent: dict[str, list[float]] = {name: [] for name in names}
    for index in range(rounds + WARM):
        for name in names[index % 3 :] + names[: index % 3]:
            start = time.process_time()
            ways[name]()
            if index >= WARM:
                spent[name].append(time.process_time() - start)
    return spent


def ratio(above: list[float], below: list[float]) -> tuple[float, float, float]:
    """Median of the rounds' ratios with its 95% interval by order statistics."""
    ratios = sorted(a / b for a, b in zip(above, below, strict=True))
    reach = round(0.98 * len(ratios) ** 0.5)
    middle = len(ratios) // 2
    return statistics.median(ratios), ratios[max(0, middle - reach)], ratios[min(len(ratios) - 1, middle + reach)]


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    ways = steps()
    outputs = [way() for way in ways.values()]
    difference = max(((out - outputs[0]).abs().max() / outputs[0].abs().max()).item() for out in outputs)
    spent = measure(ways, options.rounds)
    results = {"benchmark": "echovideo_step", "largest_difference": difference}
    print(f"a bare step takes {1000 * statistics.median(spent['bare']):.0f} ms of a processor")
    for name in ("ours", "port"):
        middle, low, high = ratio(spent[name], spent["bare"])
        print(f"{name} over bare CogVideoX   {middle:.4f}   (95% interval of the median {low:.4f} .. {high:.4f})")
        results |= {f"{name}_over_bare": middle, f"{name}_low": low, f"{name}_high": high}
    results["within_bound"] = bool(results["ours_over_bare"] <= BOUND)
    print(json.dumps({key: round(value, 6) if isinstance(value, float) else value for key, value in results.items()}))


if __name__ == "__main__":
    main()
