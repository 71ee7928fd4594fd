"""Train CustomVideoX's LoRA on clips of your own, for CogVideoX-2B or 5B on GPUs, or for any base of that layout.

    python -m models.customvideox.train encode DATA --base BASE      clips, captions and cut-outs -> latents, once
    python -m models.customvideox.train fit DATA --base BASE --output weights/customvideox/lora
    torchrun --nproc-per-node 8 -m models.customvideox.train fit DATA --base BASE --output ...

DATA is described in dataset.py. BASE is a folder in diffusers layout with transformer, vae, text_encoder, tokenizer
and scheduler, as `hf download THUDM/CogVideoX-2b` makes it. `fit` continues where it stopped, and logs loss and clips
per second to `log.jsonl` beside the LoRA. models/pocket/recipes/customvideox.py trains the pocket LoRA the same way.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler
from torch import nn
from transformers import AutoTokenizer, T5EncoderModel

from models.customvideox.dataset import ENCODED, EncodedClips, encode_entries, read_entries
from models.customvideox.lora import ATTENTION, LAYERS, LoraSettings, ReferenceLora
from models.customvideox.objective import velocity_loss
from models.customvideox.transformer import CustomVideoXTransformer3DModel

STATE, LOG = "state.pt", "log.jsonl"


@dataclass(frozen=True)
class Fit:
    """How long and how fast. `clips`: per step, over all processes. Ours; the paper's settings are not known."""

    steps: int = 5000
    clips: int = 8
    learning_rate: float = 1e-4
    warm_up: int = 200
    weight_decay: float = 1e-4
    max_gradient_norm: float = 1.0
    dropped: float = 0.1
    save_every: int = 250
    seed: int = 0


def encode(data: Path, base: Path, num_frames: int, fps: float, height: int, width: int, pictures: int) -> int:
    """The encode stage; the number of clips."""
    device, dtype = _place()
    vae: Any = AutoencoderKLCogVideoX.from_pretrained(base / "vae", torch_dtype=dtype)
    vae.to(device).eval()
    if device.type == "cuda":
        vae.enable_tiling()
    text_encoder: Any = T5EncoderModel.from_pretrained(base / "text_encoder", dtype=dtype)
    config: Any = CustomVideoXTransformer3DModel.load_config(base / "transformer")
    parts = SimpleNamespace(
        vae=vae,
        tokenizer=AutoTokenizer.from_pretrained(base / "tokenizer"),
        text_encoder=text_encoder.to(device).eval(),
        max_text_seq_length=config["max_text_seq_length"],
    )
    entries = read_entries(data)
    start = time.monotonic()
    for done, _ in enumerate(
        encode_entries(entries, data / ENCODED, parts, num_frames, fps, height, width, pictures), start=1
    ):
        if done % 10 == 0 or done == len(entries):
            print(f"{done}/{len(entries)} clips, {done / (time.monotonic() - start):.2f}/s", flush=True)
    return len(entries)


def fit(data: Path, base: Path, output: Path, settings: LoraSettings, plan: Fit) -> float:
    """The training; the mean loss since the last line of the log."""
    device, dtype = _place()
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    network: Any = CustomVideoXTransformer3DModel.from_pretrained(base / "transformer", torch_dtype=dtype)
    network.requires_grad_(False).to(device)
    network.enable_gradient_checkpointing()
    scheduler = CogVideoXDDIMScheduler.from_pretrained(base / "scheduler")
    torch.manual_seed(plan.seed)  # the same first LoRA in every process
    lora = ReferenceLora(network.transformer_blocks, network.hidden_size, settings).to(device)
    optimizer = torch.optim.AdamW(
        lora.parameters(), lr=plan.learning_rate, betas=(0.9, 0.95), weight_decay=plan.weight_decay
    )
    step = _resume(output / STATE, lora, optimizer, settings, device)
    # a LoRA on the picture's rows learns nothing where there is none
    pictures_dropped = 0.0 if settings.rows == "reference" else plan.dropped
    clips = EncodedClips(data / ENCODED, plan.dropped, pictures_dropped, plan.seed + world * step + rank)
    generator = torch.Generator("cpu").manual_seed(plan.seed + world * step + rank)
    share = max(1, plan.clips // world)
    losses: list[float] = []
    start, mean, noted = time.monotonic(), 0.0, step
    while step < plan.steps:
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * min(1.0, (step + 1) / plan.warm_up)
        for _ in range(share):
            latents, words, picture = (x if x is None else x.to(device, dtype) for x in clips.draw())
            assert latents is not None
            assert words is not None
            loss = velocity_loss(network, lora, scheduler, latents, words, picture, generator)
            (loss / share).backward()
            losses.append(float(loss.detach()))
        _average_gradients(lora, world)
        nn.utils.clip_grad_norm_(lora.parameters(), plan.max_gradient_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        if rank == 0 and (step % plan.save_every == 0 or step == plan.steps):
            mean, rate = sum(losses) / len(losses), (step - noted) * share * world / (time.monotonic() - start)
            _save(output, lora, optimizer, step)
            _note(output / LOG, step=step, loss=round(mean, 5), clips_per_second=round(rate, 3))
            losses.clear()
            start, noted = time.monotonic(), step
    return mean


def _place() -> tuple[torch.device, torch.dtype]:
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))), torch.bfloat16
    return torch.device("cpu"), torch.float32


def _average_gradients(lora: ReferenceLora, world: int) -> None:
    """Over the processes; a process whose clips had no pictures has no gradient for some parameters."""
    for parameter in lora.parameters():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    if world > 1:
        for parameter in lora.parameters():
            dist.all_reduce(parameter.grad)
            assert parameter.grad is not None
            parameter.grad /= world


def _save(output: Path, lora: ReferenceLora, optimizer: torch.optim.Optimizer, step: int) -> None:
    lora.save(output, torch.bfloat16)
    partial = output / "state.partial"
    torch.save({"lora": lora.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, partial)
    partial.replace(output / STATE)


def _resume(
    path: Path, lora: ReferenceLora, optimizer: torch.optim.Optimizer, settings: LoraSettings, device: torch.device
) -> int:
    if not path.is_file():
        return 0
    state = torch.load(path, map_location=device, weights_only=True)
    try:
        lora.load_state_dict(state["lora"])
    except RuntimeError as error:
        raise ValueError(
            f"{path} was begun with other settings than rank {settings.rank} on {', '.join(settings.layers)}."
            " Choose those again or another output folder."
        ) from error
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _note(path: Path, **numbers: Any) -> None:
    line = json.dumps(numbers)
    print(line, flush=True)
    with path.open("a", encoding="utf-8") as log:
        log.write(line + "\n")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stages = parser.add_subparsers(dest="stage", required=True)
    encoding, fitting = stages.add_parser("encode"), stages.add_parser("fit")
    for stage in (encoding, fitting):
        stage.add_argument("data", type=Path)
        stage.add_argument("--base", type=Path, required=True, help="folder of CogVideoX in diffusers layout")
    encoding.add_argument("--frames", type=int, default=49, help="of a clip: 8k+1 for CogVideoX")
    encoding.add_argument("--fps", type=float, default=8.0)
    encoding.add_argument("--height", type=int, default=480)
    encoding.add_argument("--width", type=int, default=720)
    encoding.add_argument("--pictures", type=int, default=4, help="placings of each cut-out")
    fitting.add_argument("--output", type=Path, required=True)
    fitting.add_argument("--rank", type=int, default=128)
    fitting.add_argument("--alpha", type=float, default=128.0)
    fitting.add_argument("--layers", nargs="+", choices=tuple(LAYERS), default=list(ATTENTION))
    fitting.add_argument("--rows", choices=("all", "reference"), default="reference", help="where it acts")
    fitting.add_argument("--mask", choices=("cached", "joint"), default="cached", help="what the picture sees")
    fitting.add_argument("--steps", type=int, default=Fit.steps)
    fitting.add_argument("--clips", type=int, default=Fit.clips, help="per step, over all GPUs")
    fitting.add_argument("--learning-rate", type=float, default=Fit.learning_rate)
    fitting.add_argument("--save-every", type=int, default=Fit.save_every, help="steps")
    o = parser.parse_args(argv)
    if o.stage == "encode":
        encode(o.data, o.base, o.frames, o.fps, o.height, o.width, o.pictures)
        return
    settings = LoraSettings(o.rank, o.alpha, tuple(o.layers), o.rows, o.mask)
    plan = Fit(steps=o.steps, clips=o.clips, learning_rate=o.learning_rate, save_every=o.save_every)
    fit(o.data, o.base, o.output, settings, plan)


if __name__ == "__main__":
    main()
