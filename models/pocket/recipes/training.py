"""What every recipe shares: processes, optimizers, averaged weights, resumable state, a log with throughput.

On a CPU one single-threaded process per core with one gradient all-reduce a step beats many threads by far
when the cores are shared; on a GPU one process does all.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn


@dataclass(frozen=True)
class Rank:
    """Which of the `world` processes this is, and where it computes."""

    index: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.index == 0

    def wait(self) -> None:
        """Until every process is here."""
        if self.world > 1:
            dist.barrier()

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Mean of the gradients over all processes, in one message."""
        if self.world == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= self.world
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))


def launch(train: Callable[..., None], processes: int, *arguments: Any) -> None:
    """Run `train(rank, *arguments)` in `processes` CPU processes, or in one on the GPU when there is one."""
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
        train(Rank(0, 1, torch.device("cuda")), *arguments)
    elif processes == 1:
        torch.set_num_threads(1)
        train(Rank(0, 1, torch.device("cpu")), *arguments)
    else:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        mp.spawn(_start, (processes, port, train, arguments), nprocs=processes)  # pyright: ignore[reportPrivateImportUsage]


def _start(index: int, world: int, port: int, train: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=index, world_size=world)
    train(Rank(index, world, torch.device("cpu")), *arguments)
    dist.destroy_process_group()


def optimizers(
    muon: list[nn.Parameter], adamw: list[nn.Parameter], muon_lr: float, adamw_lr: float
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, AdamW for the rest (norms, biases, embeddings, first and last layers)."""
    both: list[torch.optim.Optimizer] = []
    if muon:
        both.append(torch.optim.Muon(muon, lr=muon_lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"))
    if adamw:
        both.append(torch.optim.AdamW(adamw, lr=adamw_lr, betas=(0.9, 0.98), weight_decay=0.0))
    for optimizer in both:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return both


def set_learning_rate(all_optimizers: Sequence[torch.optim.Optimizer], scale: float) -> None:
    for optimizer in all_optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * scale


def trapezoid(progress: float, warm: float = 0.02, decay: float = 0.4) -> float:
    """Learning-rate factor at `progress` in [0, 1]: linear warm-up, constant, linear decay over the last part."""
    if progress < warm:
        return max(progress, 1e-3) / warm
    return 1.0 if progress <= 1 - decay else max((1 - progress) / decay, 0.0)


class AveragedWeights:
    """Exponential moving average of a module's parameters, with a shorter horizon in the first steps."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.step = decay, 0
        self.values = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        self.step += 1
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        names, parameters = zip(*module.named_parameters(), strict=True)
        torch._foreach_lerp_([self.values[n] for n in names], [p.detach() for p in parameters], 1 - decay)

    @contextmanager
    def lent_to(self, module: nn.Module) -> Iterator[None]:
        """The module has the averaged weights inside, its own again afterwards."""
        own = {name: p.detach().clone() for name, p in module.named_parameters()}
        self.copy_to(module)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in module.named_parameters():
                    parameter.copy_(own[name])

    def copy_to(self, module: nn.Module) -> None:
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.copy_(self.values[name])


class Learner:
    """A module in training with its optimizers and averaged weights: what one step does, what a saved state holds."""

    def __init__(
        self,
        module: nn.Module,
        both: list[torch.optim.Optimizer],
        decay: float | None = 0.998,
        largest_gradient: float = 1.0,
    ) -> None:
        """`decay` of the averaged weights, None for none; gradients are clipped to the norm `largest_gradient`."""
        self.module, self.optimizers, self.largest_gradient = module, both, largest_gradient
        self.average = AveragedWeights(module, decay) if decay else None

    def step(self, rank: Rank, loss: Tensor) -> float:
        """One update by the mean gradient of all processes; the loss as a number."""
        loss.backward()
        learning = [p for p in self.module.parameters() if p.requires_grad]
        for parameter in learning:  # what this step left out, so that all processes send the same message
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        rank.average_gradients(learning)
        nn.utils.clip_grad_norm_(learning, self.largest_gradient)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update(self.module)
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        """What `load` needs."""
        saved = {"model": self.module.state_dict(), "optimizers": [o.state_dict() for o in self.optimizers]}
        if self.average is None:
            return saved
        return saved | {"average": self.average.values, "average_step": self.average.step}

    def averaged(self) -> AbstractContextManager[None]:
        """The module has its averaged weights inside, its own again afterwards."""
        assert self.average is not None, "this module's weights are not averaged"
        return self.average.lent_to(self.module)

    def finish(self) -> None:
        """The module keeps its averaged weights."""
        assert self.average is not None, "this module's weights are not averaged"
        self.average.copy_to(self.module)

    def load(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        if self.average is not None:
            self.average.values, self.average.step = state["average"], state["average_step"]


@dataclass
class Run:
    """A training run's clock and notebook: stops after `seconds` of training in all, across resumes."""

    folder: Path
    seconds: float
    rank: Rank
    save_every: float = 240.0
    elapsed: float = 0.0
    step: int = 0
    samples: int = 0
    _started: float = field(default_factory=time.monotonic)
    _saved: float = field(default_factory=time.monotonic)
    _noted: tuple[float, int] = (0.0, 0)

    @property
    def progress(self) -> float:
        """Share of the planned time used, the same in every process (process 0 decides)."""
        now = torch.tensor([min((self.elapsed + time.monotonic() - self._started) / self.seconds, 1.0)])
        if self.rank.world > 1:
            dist.broadcast(now, 0)
        return float(now)

    def note(self, **numbers: float) -> None:
        """Append a line to the log and print it, with samples per second since the last one."""
        if not self.rank.first:
            return
        now = self.elapsed + time.monotonic() - self._started
        before, samples = self._noted
        line = {"step": self.step, "samples": self.samples, "seconds": round(now, 1)}
        line["samples_per_second"] = round((self.samples - samples) / max(now - before, 1e-9), 2)
        line |= {k: round(v, 5) for k, v in numbers.items()}
        self._noted = (now, self.samples)
        print(json.dumps(line), flush=True)
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")

    def due(self) -> bool:
        """Whether the state should be saved now."""
        if not self.rank.first or time.monotonic() - self._saved < self.save_every:
            return False
        self._saved = time.monotonic()
        return True

    def save(self, **state: Any) -> None:
        """Write the state beside the last one, then put it in its place."""
        clock = {
            "elapsed": self.elapsed + time.monotonic() - self._started,
            "step": self.step,
            "samples": self.samples,
        }
        partial = self.folder / "state.partial"
        torch.save(state | {"clock": clock}, partial)
        partial.replace(self.folder / "state.pt")

    def resume(self) -> dict[str, Any] | None:
        """The saved state, or None at the first start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "state.pt"
        if not path.exists():
            return None
        state = torch.load(path, map_location=self.rank.device, weights_only=True)
        clock = state.pop("clock")
        self.elapsed, self.step, self.samples = clock["elapsed"], clock["step"], clock["samples"]
        self._noted = (self.elapsed, self.samples)
        return state


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where it is faster: on GPUs, and on CPUs that have it."""
    bf16 = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    fast = device.type == "cuda" or bf16
    return torch.autocast(device.type, torch.bfloat16, enabled=bool(fast))


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each item, both in [-1, 1], over all other axes."""
    error = (prediction.float() - target.float()).square().flatten(1).mean(1) / 4
    return -10 * torch.log10(error.clamp_min(1e-10))
