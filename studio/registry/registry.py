"""Registry: components by content, leases that keep them where they are, and room made for them.

Importing it is light; torch comes with the first component that holds tensors.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.method import Component, Pipeline, Recipe
from studio.events import StudioError
from studio.registry.activations import Activations, first_guess, request_volume
from studio.registry.files import Digests, WeightsError, import_object
from studio.registry.memory import GIB, Memory
from studio.registry.options import Options, for_memory
from studio.registry.parts import Workshop
from studio.registry.sources import key_of, origin_of, read_sources

if TYPE_CHECKING:
    from studio.registry.devices import Device
    from studio.registry.layout import Key
    from studio.registry.lease import Lease, OnLoading, StagePlan
    from studio.registry.residents import Resident

logger = logging.getLogger(__name__)


class Registry:
    """Shared by all methods of one worker.

    `memory_gb` limits weights and what jobs compute with (0: what the device has). `cache_dir` keeps what was learnt
    about files and memory. `memory_preset` is "", "auto" or one of `options.py`'s. `hardware` replaces the device, for
    tests and for places with rules of their own.
    """

    def __init__(
        self,
        device: str = "auto",
        memory_gb: float = 0.0,
        cache_dir: Path | None = None,
        options: Options | None = None,
        memory_preset: str = "",
        hardware: Device | None = None,
    ) -> None:
        self._wanted_device = device
        self._limit = int(memory_gb * GIB)
        self._given_options = options or Options()
        self._memory_preset = memory_preset
        self._given_hardware = hardware
        self._memory: Memory | None = None
        self._making = threading.Lock()
        self._digests = Digests(cache_dir)
        self._activations = Activations(cache_dir)
        self._leases: dict[int, Lease] = {}  # by id of the pipeline

    @property
    def memory(self) -> Memory:
        """Made when first needed, by whichever thread comes first: it imports torch."""
        with self._making:
            if self._memory is None:
                self._memory = self._made_memory()
            return self._memory

    def _made_memory(self) -> Memory:
        if self._given_hardware is not None:
            return Memory(self._given_hardware, self._limit)
        import torch

        from studio.registry.devices import Cpu, Cuda

        if self._wanted_device == "cuda" and not torch.cuda.is_available():
            raise StudioError("This machine has no CUDA device that torch can use.", "Set device to cpu or auto.")
        gpu = self._wanted_device != "cpu" and torch.cuda.is_available()
        return Memory(Cuda() if gpu else Cpu(), self._limit)

    @functools.cached_property
    def _workshop(self) -> Workshop:
        return Workshop(self.memory, self.options)

    @property
    def device(self) -> str:
        """Where computing happens, cpu or cuda; asking imports torch."""
        return self.memory.hardware.name

    @functools.cached_property
    def options(self) -> Options:
        """As given, with the savings of the memory preset where memory is a GPU's."""
        if not self.memory.hardware.separate:
            return self._given_options
        return for_memory(self._given_options, self._memory_preset, self.memory.device.budget)

    @contextlib.contextmanager
    def acquire(
        self,
        recipe: Recipe,
        on_loading: OnLoading | None = None,
        request: Any = None,
        on_use: Callable[[], None] | None = None,
    ) -> Iterator[Pipeline]:
        """A pipeline whose weights do not move while it computes.

        Everything stays for the whole block where it fits, else one stage at a time, else block by block; what can
        never fit is refused with numbers before a byte moves. `request` tells how much memory computing takes.
        `on_use` is called before each use of a component, each slice of a VAE included, and may raise to stop.
        A failed load leaves nothing behind; room that was made for it stays.
        """
        lease = self._open(recipe, on_loading or _ignore, request, on_use)
        completed = False
        try:
            yield lease.pipeline
            completed = True
        finally:
            self._close(lease, completed)

    def describe(self, pipeline: Pipeline) -> dict[str, dict[str, str]]:
        """Source, digest and number format of each component of a leased pipeline."""
        described: dict[str, dict[str, str]] = {}
        for part in self._leases[id(pipeline)].parts:
            names = (part.component.name, f"{part.component.name} base")
            for name, folder, resident in zip(names, part.component.folders, part.residents, strict=False):
                key = resident.key
                described[name] = {"source": folder.source, "sha256": key.digest, "dtype": key.format}
        return described

    def peak_bytes(self, pipeline: Pipeline) -> int:
        """The most memory in use in the stages of this job that are over; 0 before the first is."""
        return self._leases[id(pipeline)].peak_bytes

    def status(self) -> dict[str, Any]:
        """The device, and what is in memory with its bytes. Does not import torch to find out."""
        memory = self._memory
        if memory is None:
            return {"device": self._wanted_device, "bytes": 0, "host_bytes": 0, "budget": self._limit, "reserved": 0,
                    "components": []}  # fmt: skip
        with memory.changed:
            components = [self._shown(resident) for resident in memory.residents.values()]
            weights = sum(component["bytes"] for component in components)
            return {
                "device": self.device,
                "bytes": weights,
                "host_bytes": sum(component["host_bytes"] for component in components),
                "budget": memory.device.budget,
                "reserved": memory.device.used - weights,
                "components": components,
            }

    def unload(self) -> int:
        """Drop every component that no one has leased, copies included; the bytes freed."""
        if self._memory is None:
            return 0
        with self.memory.changed:
            before = self.memory.used()
            self._workshop.clear()
            self.memory.end_reading_ahead()
            idle = list(self.memory.residents.values())
            for resident in idle:
                self.memory.drop(resident)
            if idle:
                gc.collect()  # modules are full of cycles
            self.memory.hardware.give_back_cached()
            self.memory.changed.notify_all()
            return before - self.memory.used()

    def expect(self, recipes: Sequence[Recipe]) -> None:
        """The queue, next job first: what it needs goes last when room has to be made."""
        if self._memory is None:  # nothing to order, and no reason to import torch
            return
        self.memory.expected = [
            {origin_of(folder) for component in _modules(recipe) for folder in component.folders} for recipe in recipes
        ]

    def prefetch(self, recipe: Recipe) -> None:
        """Begin to read a recipe's weights into free memory; from any thread, building nothing. Never makes room.

        Does nothing before the first job, which is for the thread that runs jobs to start with.
        """
        if self._memory is None:
            return
        for component in _modules(recipe):
            try:
                sources = read_sources(component, self.device, self.options)
                wanted = {key_of(source, self._digests, _count): source for source in sources}
            except StudioError as error:  # the job itself will say so to the person it concerns
                logger.info("%s cannot be read ahead: %s", component.name, error)
                return
            if not all(self.memory.read_ahead(key, source) for key, source in wanted.items()):
                return

    def place(self, recipes: Sequence[Recipe], limit: int) -> list[Recipe]:
        """Bring whole methods where computing happens, building nothing, while all of it stays under `limit` bytes.

        Returns those left out. For places that take weights over at start-up.
        """
        left_out = []
        for recipe in recipes:
            sources = [s for c in _modules(recipe) for s in read_sources(c, self.device, self.options)]
            wanted = {key_of(source, self._digests, _count): source for source in sources}
            new = sum(s.layout.bytes for key, s in wanted.items() if not self.memory.device.held(key))
            if self.memory.device.used + new > min(limit, self.memory.device.budget):
                left_out.append(recipe)
                continue
            with _plain_tensors():
                self.memory.place_all(wanted)
        return left_out

    # What a lease asks for while its job runs

    def swap(self, lease: Lease, plan: StagePlan) -> None:
        """Let go of one stage's weights and hold the next one's."""
        with _plain_tensors():
            with self.memory.changed:
                self.memory.let_go(lease)
            self.memory.hold(lease, plan.residents, plan.reserve, plan.streams)

    def _open(self, recipe: Recipe, on_loading: OnLoading, request: Any, on_use: Callable[[], None] | None) -> Lease:
        from studio.registry.lease import Lease

        modules = _modules(recipe)
        lease = Lease(self, recipe.method, on_loading, on_use)
        lease.volume = request_volume(request, recipe.arguments)
        try:
            if modules:
                self._take_parts(lease, modules)
            parts: dict[str, Any] = {part.component.name: part.shell.module for part in lease.parts}
            tools = [component for component in recipe.components if component.kind == "files"]
            parts |= {component.name: self._workshop.take_tool(lease, component) for component in tools}
            lease.pipeline = import_object(recipe.pipeline)(**parts, **recipe.arguments)
            lease.watch()
        except BaseException:
            self._close(lease, completed=False)
            for resident in lease.fresh:
                with self.memory.changed:
                    self.memory.drop(resident)
            raise
        self._leases[id(lease.pipeline)] = lease
        return lease

    def _take_parts(self, lease: Lease, components: list[Component]) -> None:
        from studio.registry.lease import Part, residents_of

        memory = self.memory
        everything = [read_sources(component, self.device, self.options) for component in components]
        keys: dict[int, Key] = {}
        for source in (source for sources in everything for source in sources):
            name, total = source.component.name, source.layout.file_bytes
            keys[id(source)] = key_of(source, self._digests, functools.partial(_say_hashing, lease, name, total))
        with memory.changed, _plain_tensors():
            memory.leases.add(lease)
            for component, sources in zip(components, everything, strict=True):
                residents = tuple(memory.resident(keys[id(source)], source) for source in sources)
                lease.fresh += [resident for resident in residents if not memory.present(resident)]
                for resident in residents:
                    resident.users += 1
                try:
                    shell = self._workshop.take_shell(residents, sources, lease.method)
                except BaseException:
                    self._forget(residents)
                    raise
                lease.parts.append(Part(lease.method, component, sources[0].network, residents, shell))
            self._plan(lease)
        if lease.whole:
            with _plain_tensors():
                memory.hold(lease, residents_of(lease.parts), max(plan.reserve for plan in lease.plans), ())

    def _forget(self, residents: Sequence[Resident]) -> None:
        """One pipeline less has them."""
        for resident in residents:
            resident.users -= 1
            self.memory.forget_unused(resident)

    def _close(self, lease: Lease, completed: bool) -> None:
        """However the job ended: caches reset, own modules back or gone, lease over."""
        self._leases.pop(id(lease.pipeline), None)
        lease.pipeline = None
        if self._memory is None:  # a recipe without weights or tools
            return
        memory = self.memory
        with memory.changed, _plain_tensors():
            lease.end(completed)
            memory.leases.discard(lease)
            for stage, size in lease.measured.items() if lease.volume else ():
                self._activations.learn(self._circumstances(lease.method, stage), lease.volume, size)
            memory.let_go(lease)
            for part in lease.parts:
                self._workshop.return_shell(part)
                self._forget(part.residents)
            lease.parts.clear()
            lease.plans.clear()
            self._workshop.return_tools(lease)

    # How a job is to be run

    def _plan(self, lease: Lease) -> None:
        """Stages with what they take, and whether all of it fits at once. WeightsError when a stage never can."""
        from studio.registry.lease import ORDER, StagePlan, residents_of

        budget = self.memory.device.budget
        for stage in ORDER:
            parts = tuple(part for part in lease.parts if stage in part.component.stages)
            if not parts:
                continue
            weights = sum(resident.bytes for resident in residents_of(parts))
            measured = self._activations.predict(self._circumstances(lease.method, stage), lease.volume)
            guess = first_guess(stage, lease.volume, self.device, self.options.vae_tiling)
            reserve = max(0, min(guess, budget - weights)) if measured is None else measured
            streams = ()
            if weights + reserve > budget:
                streams = self._streams(parts, weights + reserve - budget)
                if streams is None:
                    raise _too_large(weights, reserve, budget)
            lease.plans.append(StagePlan(stage, parts, reserve, streams))
        everything = sum(resident.bytes for resident in residents_of(lease.parts))
        largest = max(plan.reserve for plan in lease.plans)
        lease.whole = everything + largest <= budget

    def _streams(self, parts: Sequence[Any], excess: int) -> tuple[Any, ...] | None:
        """Which of a stage's networks pass through block by block, largest first; None when that does not do."""
        if not (self.memory.hardware.separate and self.options.streaming):
            return None
        from studio.registry.streaming import plan_streaming

        chosen = []
        users = Counter(resident for part in parts for resident in part.residents)
        for part in sorted(parts, key=lambda part: part.bytes, reverse=True):
            for resident in part.residents:
                if excess <= 0 or users[resident] > 1:  # the other network would find another block in its place
                    continue
                plan = plan_streaming(resident, part.shell.module)
                if plan is not None and plan.bytes < resident.bytes:
                    excess -= resident.bytes - plan.bytes
                    chosen.append(plan)
        return tuple(chosen) if excess <= 0 else None

    def _circumstances(self, method: str, stage: str) -> str:
        tiled = "/tiled" if stage == "decode" and self.options.vae_tiling else ""
        return f"{method}/{stage}/{self.device}{tiled}"

    def _shown(self, resident: Resident) -> dict[str, Any]:
        memory = self.memory
        return {
            "names": sorted({name for _, name in resident.names}),
            "methods": sorted({method for method, _ in resident.names}),
            "source": resident.source,
            "dtype": resident.key.format,
            "bytes": memory.device.held(resident.key),
            "host_bytes": memory.host.held(resident.key) if memory.hardware.separate else 0,
            "leased": resident.leases > 0,
            "place": memory.place(resident),
        }


def _modules(recipe: Recipe) -> list[Component]:
    """Components that hold tensors."""
    return [component for component in recipe.components if component.kind == "module"]


def _too_large(weights: int, reserve: int, budget: int) -> WeightsError:
    beside = f" and {reserve / GIB:.2f} GiB to compute with" if reserve else ""
    return WeightsError(
        f"This needs {weights / GIB:.2f} GiB of memory for weights{beside}, and the limit is {budget / GIB:.2f} GiB.",
        "Raise memory_gb, or choose a smaller preset, fewer frames or a smaller size.",
    )


@contextlib.contextmanager
def _plain_tensors() -> Iterator[None]:
    """Weights outlive the job: no tensor of theirs may belong to its inference mode."""
    import torch

    with torch.inference_mode(False), torch.no_grad():
        yield


def _say_hashing(lease: Lease, name: str, total: int, _: int) -> None:
    lease.on_loading(name, 0, total)


def _ignore(stage: str, done_bytes: int, total_bytes: int) -> None:
    pass


def _count(_: int) -> None:
    pass
