"""What a picture costs per guided step of CustomVideoX: against bare diffusers, and against a straightforward port.

    OMP_NUM_THREADS=1 python -m tests.benchmark.customvideox_step [--rounds 12]

The pocket networks, the same weights in each, steps taken in turns, processor seconds; spread by quartiles of the
ratios. Bare: diffusers' own blocks and attention, no picture. Ours: keys and values of the picture kept over the
steps, LoRA summed into the weights, a bias per token without a mask. The port: the picture's tokens in every step,
LoRA beside the weights, a dense mask in every layer. `share of tokens`: those with the picture over those without,
which the cost must not exceed.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from models.common.cogvideox.precision import computing
from models.common.cogvideox.rotary import rotary_for
from models.common.pictures import read_picture
from models.customvideox import transformer as ours
from models.customvideox.lora import load_lora
from models.customvideox.reference import place_subject, reference_latents
from studio.presets import preset_for
from studio.registry import Registry

PICTURE = Path("presets/customvideox/examples/striped-orange-ball.png")
WARM = 2


def dense_attention(
    query: Tensor, key: Tensor, value: Tensor, ref_key: Tensor, ref_value: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Every query and key in one attention, under a mask that is made for it."""
    keys = torch.cat([key, ref_key.expand(len(query), -1, -1, -1)], 2)
    values = torch.cat([value, ref_value.expand(len(query), -1, -1, -1)], 2)
    mask = query.new_zeros(len(query), 1, query.shape[2], keys.shape[2])
    if bias is not None:
        mask[..., key.shape[2] :] = bias[:, None, :, None]
    return F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)


def ways(run: Any, bare: Any, dtype: torch.dtype | None) -> tuple[dict[str, Callable[[], Tensor]], float]:
    """One guided step each way, from the parts of a pipeline and the bare network; and the share of tokens."""
    network, config = run.transformer, run.transformer.config
    lora = load_lora(run.lora_source, network, run.lora_settings)
    picture = reference_latents(run.vae, place_subject(read_picture(PICTURE), run.height, run.width))
    merged, beside = network.adapted(lora, True, dtype), network.adapted(lora)
    memory = network.remember(picture, merged)
    latents = torch.randn(2, config.sample_frames, config.in_channels, config.sample_height, config.sample_width)
    given: dict[str, Any] = {
        "hidden_states": latents,
        "encoder_hidden_states": run.encode_prompt("the object bounces on grass, blue sky"),
        "timestep": torch.tensor([500.0, 500.0]),
        "image_rotary_emb": rotary_for(config, latents.shape[1], latents.shape[3], latents.shape[4]),
        "return_dict": False,
    }
    tokens = math.prod(run.token_grid(latents))
    bias = torch.linspace(-1, 0.7, tokens)[None]

    def port() -> Tensor:
        with patch.object(ours, "attend", dense_attention):
            return network(**given, adapted=beside, reference=picture, bias=bias)[0]

    found = {
        "ours": lambda: network(**given, adapted=merged, memory=memory, bias=bias)[0],
        "bare": lambda: bare(**given, feature_cache=False)[0],
        "port": port,
    }
    own = config.max_text_seq_length + tokens
    return found, (own + memory.tokens) / own


def ratios(found: dict[str, Callable[[], Tensor]], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of ours over each other way, round by round, in changing order."""
    result: dict[str, list[float]] = {name: [] for name in found if name != "ours"}
    names = list(found)
    for index in range(rounds + WARM):
        spent = {}
        for name in names[index % 3 :] + names[: index % 3]:
            start = time.process_time()
            found[name]()
            spent[name] = time.process_time() - start
        if index >= WARM:
            for name, values in result.items():
                values.append(spent["ours"] / spent[name])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    torch.manual_seed(0)
    registry, rows, share = Registry("cpu"), [], 0.0
    presets = [preset_for(method, "pocket") for method in ("customvideox", "repvideo")]
    with registry.acquire(presets[0].recipe) as pipeline, registry.acquire(presets[1].recipe) as repvideo:
        run, bare = cast(Any, pipeline), cast(Any, repvideo).transformer_off
        for products in ("float32", "bfloat16"):
            half = products == "bfloat16"
            with torch.no_grad(), computing("bfloat16" if half else "", torch.device("cpu")):
                found, share = ways(run, bare, torch.bfloat16 if half else None)
                measured = ratios(found, options.rounds)
            for name, values in measured.items():
                low, middle, high = statistics.quantiles(values, n=4)
                rows.append({"products": products, "against": name, "ratio": round(middle, 3),
                             "low": round(low, 3), "high": round(high, 3)})  # fmt: skip
                print(f"{products:9} ours over {name:5} {middle:6.3f}   (quartiles {low:.3f} .. {high:.3f})")
    print(f"share of tokens {share:.3f}")
    print(json.dumps({"benchmark": "customvideox_step", "token_share": round(share, 4), "rows": rows}))


if __name__ == "__main__":
    main()
