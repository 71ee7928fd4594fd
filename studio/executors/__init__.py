"""Where jobs run: one interface, several places. Nothing here imports torch; a worker does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from models.method import Recipe
from studio.events import Event, Failed, InspectSpec, JobSpec, Seen
from studio.settings import StudioSettings

Emit = Callable[[Event], None]
Cancelled = Callable[[], bool]


class Executor(Protocol):
    """Runs one job at a time, or as many as `parallel` says where it has that."""

    def run(self, spec: JobSpec, emit: Emit, cancelled: Cancelled) -> None:
        """Run a job to its end; emits exactly one terminal event, last."""
        ...

    def warm(self, recipes: Sequence[Recipe] = ()) -> None:
        """Start what a job needs, and load these recipes' weights, in the background."""
        ...

    def inspect(self, spec: InspectSpec) -> tuple[Seen, ...] | Failed:
        """What a method sees of a picture; waits for no job."""
        ...

    def status(self) -> dict[str, Any]:
        """`state` (absent, starting, ready, busy), `device`, and the components in memory with their bytes."""
        ...

    def unload(self) -> int:
        """Drop weights that no job uses; the bytes freed."""
        ...

    def close(self) -> None:
        """End for good."""
        ...


def make_executor(settings: StudioSettings) -> Executor:
    """The executor that `settings.executor` names."""
    if settings.executor == "inline":
        from studio.executors.inline import InlineExecutor

        return InlineExecutor(settings)
    if settings.executor == "zerogpu":
        from studio.executors.zerogpu import ZeroGpuExecutor

        return ZeroGpuExecutor(settings)
    if settings.executor == "ray":
        from studio.executors.ray import RayExecutor

        return RayExecutor(settings)
    from studio.executors.process import ProcessExecutor

    return ProcessExecutor(settings)
