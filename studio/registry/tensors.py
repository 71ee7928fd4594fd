"""Bytes to tensors to modules: reads safetensors into one buffer, builds modules without weights, binds the two.

Never `from_pretrained`: it changes process-wide state while another job may denoise, and lets missing keys pass.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from studio.registry.files import TensorEntry, WeightsError, WeightsFile, import_object, shown

CHUNK_BYTES = 16 << 20
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip


def read_tensors(file: WeightsFile, on_bytes: Callable[[int], None]) -> tuple[dict[str, Tensor], str]:
    """A file's tensors, as views of one host buffer, and the sha256 of exactly the bytes they were made from.

    Not mapped: a file that is replaced while in use must change neither pixels nor end the process.
    `on_bytes` hears of each chunk and may raise to give up.
    """
    buffer = torch.empty(file.data_bytes, dtype=torch.uint8)
    digest = hashlib.sha256()
    view = memoryview(buffer.numpy())  # type: ignore[arg-type]
    with file.path.open("rb", buffering=0) as stream:
        digest.update(stream.read(file.data_start))
        filled = 0
        while filled < file.data_bytes:
            count = stream.readinto(view[filled : filled + CHUNK_BYTES])
            if not count:
                raise WeightsError(
                    f"The weights file {shown(file.path)} became shorter while it was read.", "Try again."
                )
            digest.update(view[filled : filled + count])
            filled += count
            on_bytes(count)
        digest.update(stream.read())  # trailing bytes are allowed and belong to the identity
    return {name: _view(buffer, entry) for name, entry in file.entries.items()}, digest.hexdigest()


def build_module(builder: str, config: dict[str, Any]) -> nn.Module:
    """The module with its parameters on meta and its buffers real; milliseconds even for billions of parameters."""
    cls = import_object(builder)
    with _parameters_on_meta():
        if getattr(cls, "config_class", None) is not None:  # transformers
            return cls(cls.config_class.from_dict(config))
        if hasattr(cls, "from_config"):  # diffusers
            return cls.from_config(config)
        return cls(**config)


def cast(module: nn.Module, tensors: dict[str, Tensor], device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors on the device, floating ones in `dtype` except what overflows in float16 (T5's `wo`)."""
    exceptions = (getattr(module, "_keep_in_fp32_modules", None) or ()) if dtype == torch.float16 else ()

    def dtype_of(name: str, tensor: Tensor) -> torch.dtype | None:
        if not tensor.is_floating_point():
            return None
        return torch.float32 if any(part in name.split(".") for part in exceptions) else dtype

    return {name: tensor.to(device, dtype_of(name, tensor)) for name, tensor in tensors.items()}


def bind(
    module: nn.Module, tensors: dict[str, Tensor], device: torch.device, dtype: torch.dtype, place: str
) -> nn.Module:
    """Make `tensors` the module's weights, shared and not copied. WeightsError unless names and shapes fit exactly."""
    expected = module.state_dict()
    parameters = dict(module.named_parameters(remove_duplicate=False))
    state = {name: tensors[name] for name in expected if name in tensors}
    for names in _tied(parameters):
        present = next((name for name in names if name in tensors), None)
        if present is not None:
            state |= dict.fromkeys(names, tensors[present])
    ignored = getattr(module, "_keys_to_ignore_on_load_unexpected", None) or ()
    unexpected = [name for name in tensors if name not in expected and not any(re.search(p, name) for p in ignored)]
    missing = [name for name in expected if name not in state]
    misshapen = [name for name in state if state[name].shape != expected[name].shape]
    for wrong, words in ((missing, "lack"), (unexpected, "have unknown"), (misshapen, "have differently shaped")):
        if wrong:
            tensors_of = f"tensors of {type(module).__name__}, first {wrong[0]!r}"
            raise WeightsError(
                f"The weights in {place} {words} {len(wrong)} of the {tensors_of}.",
                "They belong to another network or version.",
            )
    wrapped = {
        id(tensor): nn.Parameter(tensor, requires_grad=False)
        for tensor in state.values()
        if tensor.is_floating_point()
    }
    state = {name: wrapped.get(id(value), value) if name in parameters else value for name, value in state.items()}
    module.load_state_dict(state, strict=True, assign=True)
    _place_buffers(module, device, dtype)
    left = [name for name, tensor in [*module.named_parameters(), *module.named_buffers()] if tensor.is_meta]
    assert not left, f"still on meta: {left}"
    return module.eval().requires_grad_(False)


def _view(buffer: Tensor, entry: TensorEntry) -> Tensor:
    dtype = DTYPES[entry.dtype]
    part = buffer[entry.start : entry.end]
    aligned = entry.start % dtype.itemsize == 0
    return (part if aligned else part.clone()).view(dtype).view(entry.shape)


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


def _tied(parameters: dict[str, nn.Parameter]) -> list[list[str]]:
    """Groups of names that mean one parameter, such as T5's `shared` and `encoder.embed_tokens`."""
    names: dict[int, list[str]] = {}
    for name, parameter in parameters.items():
        names.setdefault(id(parameter), []).append(name)
    return [group for group in names.values() if len(group) > 1]


def _place_buffers(module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Move and cast the buffers that no file holds, as `module.to(device, dtype)` does."""
    for part in module.modules():
        for name in part._non_persistent_buffers_set:
            buffer = part._buffers[name]
            if buffer is not None:
                part._buffers[name] = buffer.to(device, dtype if buffer.is_floating_point() else None)
