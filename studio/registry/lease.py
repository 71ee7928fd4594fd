"""What one job has of the registry: its own modules, and the right to weights that stay, stage by stage.

A job is in the stage of the component it computes with. Its first use of a component of another stage moves it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.method import Component, Stage
from studio.registry.shells import Shell, watch

if TYPE_CHECKING:
    from studio.registry.registry import Registry
    from studio.registry.residents import Resident
    from studio.registry.streaming import StreamPlan

OnLoading = Callable[[str, int, int], None]  # what, bytes done, bytes in total; may raise to give up
ORDER: tuple[Stage, ...] = ("encode", "denoise", "decode")


@dataclass(eq=False)
class Part:
    """A component of this job: the shared bytes, its own before its base's, and the module that is this job's."""

    method: str
    component: Component
    network: str  # what the module is, see `Source.network`
    residents: tuple[Resident, ...]
    shell: Shell

    @property
    def bytes(self) -> int:
        return sum(resident.bytes for resident in self.residents)


def residents_of(parts: Iterable[Part]) -> list[Resident]:
    """Each once, in order."""
    return list(dict.fromkeys(resident for part in parts for resident in part.residents))


@dataclass(frozen=True)
class StagePlan:
    """What a stage computes with. `reserve`: bytes beside weights; `streams`: networks that pass block by block."""

    name: Stage
    parts: tuple[Part, ...]
    reserve: int
    streams: tuple[StreamPlan, ...] = ()

    @property
    def residents(self) -> list[Resident]:
        return residents_of(self.parts)


class Lease:
    """`whole`: everything stays for the whole job, because it fits. Else one stage's weights at a time."""

    def __init__(
        self, registry: Registry, method: str, on_loading: OnLoading, on_use: Callable[[], None] | None
    ) -> None:
        self.method = method
        self.on_loading = on_loading
        self.parts: list[Part] = []
        self.tools: list[tuple[tuple[str, str], Any]] = []
        self.fresh: list[Resident] = []  # absent before this job
        self.held: list[Resident] = []
        self.pipeline: Any = None
        self.volume = 0
        self.whole = True
        self.peak_bytes = 0
        self.measured: dict[str, int] = {}  # bytes beside weights, of stages seen to their end
        self.plans: list[StagePlan] = []
        self._registry = registry
        self._on_use = on_use
        self._stage: StagePlan | None = None
        self._here: frozenset[str] = frozenset()
        self._start_bytes = 0
        self._handles: list[Any] = []

    def watch(self) -> None:
        """Hear of every use of a component from now on."""
        for part in self.parts:
            self._handles += watch(part.shell.module, lambda part=part: self.use(part))

    def use(self, part: Part) -> None:
        """`part` is about to compute: be in a stage that has it. Raises what `on_use` raises."""
        if self._on_use is not None:
            self._on_use()
        if part.component.name not in self._here:
            self._enter(self._stage_with(part))

    @property
    def upcoming(self) -> set[Resident]:
        """What the stages still to come need."""
        at = ORDER.index(self._stage.name) if self._stage else -1
        return {resident for plan in self.plans if ORDER.index(plan.name) > at for resident in plan.residents}

    def end(self, completed: bool) -> None:
        """No more uses; what was measured counts if the stage was seen to its end."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._leave(completed)

    def _stage_with(self, part: Part) -> StagePlan:
        """The next stage that has it, else the first."""
        having = [plan for plan in self.plans if part in plan.parts]
        at = ORDER.index(self._stage.name) if self._stage else 0
        return next((plan for plan in having if ORDER.index(plan.name) >= at), having[0])

    def _enter(self, plan: StagePlan) -> None:
        self._leave(completed=True)
        if not self.whole:
            self._registry.swap(self, plan)
        self._stage = plan
        self._here = frozenset(part.component.name for part in plan.parts)
        hardware = self._registry.memory.hardware
        hardware.start_peak()
        self._start_bytes = hardware.peak()[0]

    def _leave(self, completed: bool) -> None:
        if self._stage is None:
            return
        peak = self._registry.memory.hardware.peak()[1]
        self.peak_bytes = max(self.peak_bytes, peak)
        if completed:
            size = max(peak - self._start_bytes, self.measured.get(self._stage.name, 0))
            self.measured[self._stage.name] = size
        self._stage, self._here = None, frozenset()
