"""A method's own modules: built without weights, bound to shared parameters, put back as they were after a job.

Never `from_pretrained`: it changes process-wide state while another job may denoise, and lets missing keys pass.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from studio.registry.files import WeightsError, import_object

PLAIN = (bool, int, float, str, type(None))


@dataclass(eq=False)
class Shell:
    """One module of one method. Hooks, processors and flags are its own; its parameters are not."""

    module: nn.Module
    buffer_bytes: int
    form: Any = None
    bound_to: tuple[Any, ...] = ()  # the residents whose tensors it has


def build_module(builder: str, config: dict[str, Any]) -> nn.Module:
    """The module with its parameters on meta and its buffers real; milliseconds even for billions of parameters."""
    cls = import_object(builder)
    with torch.random.fork_rng(devices=[]), _parameters_on_meta():
        if getattr(cls, "config_class", None) is not None:  # transformers
            module = cls(cls.config_class.from_dict(config))
        elif hasattr(cls, "from_config"):  # diffusers
            module = cls.from_config(config)
        else:
            module = cls(**config)
    return module.eval().requires_grad_(False)


def torch_dtype(format: str) -> torch.dtype:
    """torch's object for a format's name."""
    return getattr(torch, format)


def tied_names(module: nn.Module) -> list[list[str]]:
    """Groups of names that mean one parameter, such as T5's `shared` and `encoder.embed_tokens`."""
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [group for group in names.values() if len(group) > 1]


def check_shapes(module: nn.Module, shapes: Mapping[str, tuple[int, ...]], missing: list[str], unknown: list[str],
                 place: str) -> None:  # fmt: skip
    """WeightsError unless names and shapes fit exactly."""
    expected = module.state_dict()
    misshapen = [name for name, shape in shapes.items() if tuple(expected[name].shape) != shape]
    for wrong, words in ((missing, "lack"), (unknown, "have unknown"), (misshapen, "have differently shaped")):
        if wrong:
            tensors_of = f"tensors of {type(module).__name__}, first {wrong[0]!r}"
            raise WeightsError(
                f"The weights in {place} {words} {len(wrong)} of the {tensors_of}.",
                "They belong to another network or version.",
            )


def attach(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Make `tensors` (parameters and kept buffers, tied ones under each of their names) the module's own objects."""
    state = dict(tensors)
    for names in tied_names(module):
        present = next((name for name in names if name in tensors), None)
        if present is not None:
            state |= dict.fromkeys(names, tensors[present])
    module.load_state_dict(state, strict=True, assign=True)
    module.requires_grad_(False)
    given = {id(tensor) for tensor in state.values()}
    everything = [*module.named_parameters(), *module.named_buffers()]
    left = [name for name, tensor in everything if tensor.is_meta and id(tensor) not in given]
    assert not left, f"still on meta: {left}"


def own_buffers(module: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    """(part, name, tensor) of the buffers that no file holds; each shell has its own."""
    return [
        (part, name, buffer)
        for part in module.modules()
        for name, buffer in part._buffers.items()
        if buffer is not None and name in part._non_persistent_buffers_set
    ]


def place_buffers(module: nn.Module, device: torch.device | str, dtype: torch.dtype) -> None:
    """Move and cast those buffers as `module.to(device, dtype)` does."""
    for part, name, buffer in own_buffers(module):
        part._buffers[name] = buffer.to(device, dtype if buffer.is_floating_point() else None)


def buffer_bytes(module: nn.Module, dtype: torch.dtype) -> int:
    """What those buffers take once cast."""
    buffers = [buffer for _, _, buffer in own_buffers(module)]
    return sum(buffer.numel() * (dtype if buffer.is_floating_point() else buffer.dtype).itemsize for buffer in buffers)


def watch(module: nn.Module, on_use: Callable[[], None]) -> list[Any]:
    """Call `on_use` before the module or a direct part of it computes; handles to end that.

    The parts matter: a VAE's `encode` and `decode` do not pass through `forward`, and call `decoder` once per slice.
    """

    def hook(*_: Any) -> None:
        on_use()

    return [part.register_forward_pre_hook(hook) for part in (module, *module.children())]


def form_of(module: nn.Module) -> Any:
    """What a job may have changed: parts, hooks, processors, replaced methods, switches such as `use_tiling`."""
    parts = []
    for name, part in module.named_modules():
        state = part.__dict__
        hooks = (*part._forward_hooks, "|", *part._forward_pre_hooks)
        processor = type(state.get("processor") or part._modules.get("processor"))
        parts.append((name, type(part), hooks, processor, "forward" in state, "_diffusers_hook" in state))
    switches = {
        name: value
        for name, value in module.__dict__.items()
        if isinstance(value, PLAIN) and not name.startswith("_") and name != "training"
    }
    return parts, switches


def restore(shell: Shell) -> bool:
    """Reset what one job leaves behind; False when the shell is no longer what it was and has to go.

    Cached hidden states of a job that was stopped would reach the next one's pixels, or crash it at another size.
    """
    module: Any = shell.module
    if getattr(module, "is_cache_enabled", False):
        from studio.registry.tuning import start_caching

        module._reset_stateful_cache()
        start_caching(module)
    for name, value in shell.form[1].items() if shell.form else ():
        if getattr(module, name, value) != value:
            setattr(module, name, value)
    return shell.form is None or form_of(module) == shell.form


@contextlib.contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """Within, this thread's new parameters land on meta. Buffers stay real: some are computed, not loaded.

    accelerate's `init_empty_weights` would do it for every thread of the process.
    """
    builder = threading.get_ident()

    def to_meta(module: nn.Module, name: str, parameter: nn.Parameter) -> nn.Parameter | None:
        if threading.get_ident() != builder or parameter.is_meta:  # a tied parameter comes by twice and must stay one
            return None
        return nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)

    hook = nn.modules.module.register_module_parameter_registration_hook(to_meta)  # type: ignore[arg-type]
    try:
        yield
    finally:
        hook.remove()
