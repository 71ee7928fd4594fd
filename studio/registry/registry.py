"""Registry: components by content, leases that keep them in memory, and room made for them.

Importing it is light; torch comes with the first component that holds tensors.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import json
import logging
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.method import Component, Pipeline, Recipe
from studio.events import StudioError
from studio.registry.files import (
    ITEM_BYTES,
    Digests,
    WeightsError,
    WeightsFile,
    find_folder,
    find_weights,
    import_object,
    read_config,
    shown,
)

OnLoading = Callable[[str, int, int], None]  # what, bytes done, bytes in total; may raise to give up
FLOATING = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
DEFAULT_DTYPES = {"cpu": "float32", "cuda": "bfloat16"}
GIB = 1 << 30
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Key:
    """What makes two components one."""

    digest: str
    builder: str
    config: str
    dtype: str


@dataclass(eq=False)
class Resident:
    """A component's tensors in memory, and the modules bound to them, one per method: hooks and flags are its own."""

    key: Key
    source: str
    tensors: dict[str, Any]
    bytes: int
    shells: dict[tuple[str, str], Any] = field(default_factory=dict)
    leases: int = 0
    last_use: int = 0


@dataclass(frozen=True)
class _Plan:
    """A component that is about to be used: what is on disk, and how many bytes it will take in memory."""

    component: Component
    folder: Path
    config: dict[str, Any]
    files: list[WeightsFile]
    dtype: str
    bytes: int

    @property
    def disk_bytes(self) -> int:
        return sum(file.data_bytes for file in self.files)


class Registry:
    """Holds components by content; `memory_gb` limits them (0: no limit), `cache_dir` keeps digests between runs."""

    def __init__(self, device: str = "auto", memory_gb: float = 0.0, cache_dir: Path | None = None) -> None:
        self._wanted_device = device
        self._limit = int(memory_gb * GIB)
        self._digests = Digests(cache_dir)
        self._lock = threading.RLock()
        self._residents: dict[Key, Resident] = {}
        self._tools: dict[tuple[str, str], Any] = {}  # tokenizers and schedulers, by class and source
        self._leases: dict[int, dict[str, Resident]] = {}  # by id of the pipeline
        self._uses = 0

    @functools.cached_property
    def device(self) -> str:
        """Where tensors go, cpu or cuda; asking imports torch."""
        import torch

        if self._wanted_device == "cuda" and not torch.cuda.is_available():
            raise StudioError("This machine has no CUDA device that torch can use.", "Set device to cpu or auto.")
        return "cuda" if self._wanted_device != "cpu" and torch.cuda.is_available() else "cpu"

    @contextlib.contextmanager
    def acquire(self, recipe: Recipe, on_loading: OnLoading | None = None) -> Iterator[Pipeline]:
        """A pipeline whose weights stay in memory until the block ends.

        A failed load leaves nothing behind; room that was made for it stays.
        """
        leased: dict[str, Resident] = {}
        with self._lock:
            pipeline = self._assemble(recipe, on_loading or _ignore, leased)
            self._leases[id(pipeline)] = leased
        try:
            yield pipeline
        finally:
            with self._lock:
                del self._leases[id(pipeline)]
                for resident in leased.values():
                    resident.leases -= 1

    def describe(self, pipeline: Pipeline) -> dict[str, dict[str, str]]:
        """Source, digest and dtype of each component of a leased pipeline."""
        with self._lock:
            return {
                name: {"source": resident.source, "sha256": resident.key.digest, "dtype": resident.key.dtype}
                for name, resident in self._leases[id(pipeline)].items()
            }

    def status(self) -> dict[str, Any]:
        """The device, and what is in memory with its bytes."""
        with self._lock:
            components = [
                {
                    "names": sorted({name for _, name in resident.shells}),
                    "methods": sorted({method for method, _ in resident.shells}),
                    "source": resident.source,
                    "dtype": resident.key.dtype,
                    "bytes": resident.bytes,
                    "leased": resident.leases > 0,
                }
                for resident in self._residents.values()
            ]
            device = self.__dict__.get("device", self._wanted_device)  # without importing torch to find out
            return {"device": device, "bytes": sum(c["bytes"] for c in components), "components": components}

    def unload(self) -> int:
        """Drop every component that no one has leased; the bytes freed."""
        with self._lock:
            self._tools.clear()
            return self._drop([resident for resident in self._residents.values() if not resident.leases])

    def _assemble(self, recipe: Recipe, on_loading: OnLoading, leased: dict[str, Resident]) -> Pipeline:
        plans = [self._plan(component) for component in recipe.components if component.kind == "module"]
        self._make_room(plans)
        known = set(self._residents)
        total = sum(plan.disk_bytes for plan in plans if self._key(plan) not in known)
        done = 0

        def on_bytes(name: str, count: int) -> None:
            nonlocal done
            done += count
            on_loading(name, min(done, total), total)

        try:
            parts = {plan.component.name: self._module(recipe.method, plan, on_bytes, leased) for plan in plans}
            parts |= {part.name: self._tool(part) for part in recipe.components if part.kind == "files"}
            return import_object(recipe.pipeline)(**parts, **recipe.arguments)
        except BaseException:
            for resident in leased.values():
                resident.leases -= 1
            self._drop([resident for key, resident in self._residents.items() if key not in known])
            raise

    def _plan(self, component: Component) -> _Plan:
        folder = find_folder(component.source)
        files = find_weights(folder)
        dtype = component.dtype or DEFAULT_DTYPES[self.device]
        if self.device == "cpu" and dtype == "float16":  # a thousand times slower than float32 on a CPU
            dtype = "float32"
        entries = [entry for file in files for entry in file.entries.values()]
        width = 4 if dtype == "float32" else 2
        memory = sum(math.prod(e.shape) * (width if e.dtype in FLOATING else ITEM_BYTES[e.dtype]) for e in entries)
        return _Plan(component, folder, read_config(folder), files, dtype, memory)

    def _key(self, plan: _Plan) -> Key | None:
        """None while a file's digest is not known, which is until it is read for the first time."""
        digests = [self._digests.get(file) for file in plan.files]
        known = [digest for digest in digests if digest is not None]
        return self._key_of(plan, known) if len(known) == len(digests) else None

    def _key_of(self, plan: _Plan, digests: list[str]) -> Key:
        config = {name: value for name, value in plan.config.items() if not name.startswith("_")}
        digest = digests[0] if len(digests) == 1 else _sha256("".join(sorted(digests)))
        return Key(digest, plan.component.builder, _sha256(json.dumps(config, sort_keys=True)), plan.dtype)

    def _module(
        self, method: str, plan: _Plan, on_bytes: Callable[[str, int], None], leased: dict[str, Resident]
    ) -> Any:
        """The method's own module over the shared tensors, leased."""
        key = self._key(plan)
        resident = self._residents.get(key) if key else None
        if resident is None:
            resident = self._load(method, plan, on_bytes)
        name = (method, plan.component.name)
        if name not in resident.shells:
            resident.shells[name] = self._bound(plan, resident.tensors)
        resident.leases += 1
        leased[plan.component.name] = resident
        self._uses += 1
        resident.last_use = self._uses
        return resident.shells[name]

    def _load(self, method: str, plan: _Plan, on_bytes: Callable[[str, int], None]) -> Resident:
        """Read, cast and bind; published only once all of it has worked."""
        import torch

        from studio.registry import tensors as reading

        name = plan.component.name
        loaded: dict[str, Any] = {}
        digests = []
        for file in plan.files:
            content, digest = reading.read_tensors(file, lambda count: on_bytes(name, count))
            loaded |= content
            digests.append(digest)
        key = self._key_of(plan, digests)
        if key not in self._residents:
            module = self._built(plan)
            loaded = reading.cast(module, loaded, torch.device(self.device), getattr(torch, plan.dtype))
            reading.bind(module, loaded, torch.device(self.device), getattr(torch, plan.dtype), shown(plan.folder))
            resident = Resident(key, plan.component.source, loaded, plan.bytes, {(method, name): module})
            self._residents[key] = resident
        for file, digest in zip(plan.files, digests, strict=True):
            self._digests.put(file, digest)
        return self._residents[key]

    def _bound(self, plan: _Plan, tensors: dict[str, Any]) -> Any:
        import torch

        from studio.registry.tensors import bind

        device, dtype = torch.device(self.device), getattr(torch, plan.dtype)
        return bind(self._built(plan), tensors, device, dtype, shown(plan.folder))

    def _built(self, plan: _Plan) -> Any:
        from studio.registry.tensors import build_module

        try:
            return build_module(plan.component.builder, plan.config)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            logger.exception("cannot build %s", plan.component.builder)
            name, reason = plan.component.builder.partition(":")[2], str(error).partition("\n")[0]
            raise WeightsError(
                f"{shown(plan.folder / 'config.json')} does not describe a {name}: {reason}.",
                "The weights belong to another network or version.",
            ) from error

    def _tool(self, component: Component) -> Any:
        """A tokenizer, shared, or a scheduler, new for each lease: its state belongs to one job."""
        name = (component.builder, component.source)
        if name not in self._tools:
            folder = find_folder(component.source)
            try:
                self._tools[name] = import_object(component.builder).from_pretrained(folder)
            except (OSError, ValueError, TypeError, KeyError) as error:
                logger.exception("cannot load %s from %s", component.name, folder)
                raise WeightsError(
                    f"The {component.name} in {shown(folder)} cannot be read.", "Copy or download the folder again."
                ) from error
        tool = self._tools[name]
        return type(tool).from_config(tool.config) if hasattr(tool, "from_config") else tool

    def _make_room(self, plans: list[_Plan]) -> None:
        """Decide before a byte moves: drop what was used longest ago, or say why it cannot fit."""
        if not self._limit:
            return
        keys = {self._key(plan) for plan in plans}
        wanted = sum(plan.bytes for plan in plans if self._key(plan) not in self._residents)
        held = sum(resident.bytes for resident in self._residents.values())
        spare = [r for r in self._residents.values() if not r.leases and r.key not in keys]
        fixed = held - sum(resident.bytes for resident in spare)
        if fixed + wanted > self._limit:
            need, limit = (fixed + wanted) / GIB, self._limit / GIB
            raise WeightsError(
                f"This needs {need:.2f} GiB of memory for weights, and the limit is {limit:.2f} GiB.",
                "Raise memory_gb or choose a smaller preset.",
            )
        for resident in sorted(spare, key=lambda resident: resident.last_use):
            if held + wanted <= self._limit:
                return
            held -= self._drop([resident])

    def _drop(self, residents: list[Resident]) -> int:
        freed = 0
        for resident in residents:
            del self._residents[resident.key]
            freed += resident.bytes
            resident.shells.clear()
            resident.tensors.clear()
        if residents:
            gc.collect()  # modules are full of cycles; without this their memory comes back some time later
            if self.device == "cuda":
                import torch

                torch.cuda.empty_cache()
        return freed


def _ignore(stage: str, done_bytes: int, total_bytes: int) -> None:
    pass


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
