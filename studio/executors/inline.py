"""Jobs in this process: the command line, tests, and ZeroGPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from models.method import Recipe
from studio.events import Failed, InspectSpec, JobSpec, Seen
from studio.executors import Cancelled, Emit
from studio.settings import StudioSettings

if TYPE_CHECKING:
    from studio.engine import Engine


class InlineExecutor:
    """Runs a job in the calling thread."""

    def __init__(self, settings: StudioSettings) -> None:
        self._settings = settings
        self._engine: Engine | None = None
        self._busy = False

    def run(self, spec: JobSpec, emit: Emit, cancelled: Cancelled) -> None:
        self._busy = True
        try:
            self._ready().generate(spec, emit, cancelled)
        finally:
            self._busy = False

    def warm(self, recipes: Sequence[Recipe] = ()) -> None:
        """Loads before it returns: on ZeroGPU weights must be placed from the main thread at start-up."""
        for recipe in recipes:
            self._ready().warm(recipe)

    def inspect(self, spec: InspectSpec) -> tuple[Seen, ...] | Failed:
        return self._ready().inspect(spec)

    def status(self) -> dict[str, Any]:
        if self._engine is None:
            return {"state": "absent", "device": self._settings.device, "bytes": 0, "components": []}
        return {"state": "busy" if self._busy else "ready", **self._engine.registry.status()}

    def unload(self) -> int:
        return self._engine.registry.unload() if self._engine else 0

    def close(self) -> None:
        self.unload()

    def _ready(self) -> Engine:
        if self._engine is None:
            from studio.engine import Engine
            from studio.executors.worker import set_threads

            set_threads(self._settings.threads)
            self._engine = Engine(self._settings)
        return self._engine
