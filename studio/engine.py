"""Inside a worker: lease a pipeline from the registry, run it, report its steps, save its clips."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, cast

from models.common.pictures import MEGAPIXELS
from models.method import Inspector, Recipe, Step, StopRequested
from studio import outputs
from studio.events import (
    Event,
    Failed,
    Finished,
    InspectSpec,
    JobSpec,
    Loading,
    Progress,
    Seen,
    Stopped,
    StudioError,
)
from studio.executors import Cancelled, Emit
from studio.messages import without_paths
from studio.registry import Registry
from studio.registry.options import Options
from studio.settings import StudioSettings

PREVIEW_SHARE = 0.03  # of the time between previews that making one may take
LOADING_SECONDS = 0.1  # between two words about bytes
PREVIEW_FRAMES = 24
RECENT_STEPS = 7  # whose median tells the time left: the first steps are slow, and a busy machine makes outliers
SIGHT_QUALITY = 90
OUT_OF_MEMORY = ("OutOfMemoryError", "AcceleratorError")
VERSIONED = ("torch", "diffusers", "transformers", "numpy", "av")
logger = logging.getLogger(__name__)


class Engine:
    """One per worker; keeps weights between jobs."""

    def __init__(self, settings: StudioSettings) -> None:
        self._settings = settings
        os.environ[MEGAPIXELS] = str(settings.max_picture_megapixels)
        options = Options(
            small_weights="" if settings.small_weights == "auto" else settings.small_weights,
            attention=settings.attention,
            compile=settings.compile,
            block_cache=settings.block_cache,
        )
        self.registry = Registry(
            settings.device, settings.memory_gb, settings.cache_dir, options, settings.memory_preset
        )

    def generate(self, spec: JobSpec, emit: Emit, cancelled: Cancelled) -> None:
        """Run one job; exactly one terminal event comes last. The one place that catches everything."""
        emit(self._outcome(spec, emit, cancelled))

    def warm(self, recipe: Recipe) -> None:
        """Import what a recipe needs and bring its weights into memory."""
        with self.registry.acquire(recipe):
            pass

    def inspect(self, spec: InspectSpec) -> tuple[Seen, ...] | Failed:
        """What a method sees of a picture, or why it sees nothing. May run beside a job."""
        try:
            with self.registry.acquire(spec.recipe) as inspector:
                sights = cast(Inspector, inspector)(spec.field, spec.picture)
            return tuple(
                Seen(outputs.encode_webp(sight.picture, quality=SIGHT_QUALITY), sight.label, sight.choice, sight.first)
                for sight in sights
            )
        except Exception as error:
            return self._failure(spec.method, spec.id, error, "Use another picture.")

    def _outcome(self, spec: JobSpec, emit: Emit, cancelled: Cancelled) -> Event:
        try:
            return self._run(spec, emit, cancelled)
        except StopRequested:
            return Stopped()
        except Exception as error:
            return self._failure(spec.method, spec.id, error, "Change the request and generate again.")

    def _failure(self, method: str, id: str, error: Exception, other_input: str) -> Failed:
        """An error in words for the person; `other_input` is the advice when what they gave is at fault."""
        if isinstance(error, StudioError):
            told = Failed(without_paths(error.message), without_paths(error.advice), bad_input=True)
            whole = (told.message, told.advice) == (error.message, error.advice)
            logger.log(logging.INFO if whole else logging.WARNING, "job %s: %s", id, error)  # the log keeps the paths
            return told
        logger.error("job %s", id, exc_info=error)
        if isinstance(error, ValueError):  # a picture that cannot be used, and the like; pipelines word these
            message = str(error).partition("\n")[0] or f"{method} cannot use this request."
            return Failed(without_paths(message), other_input, bad_input=True)
        if isinstance(error, MemoryError) or type(error).__name__ in OUT_OF_MEMORY or "can't allocate" in str(error):
            self.registry.unload()
            return Failed("There was not enough memory for this video.", "Choose fewer frames or a smaller size.")
        return Failed(
            f"{method} failed with an error of its own: {type(error).__name__}.",
            "Other settings may work; the log has the details.",
        )

    def _run(self, spec: JobSpec, emit: Emit, cancelled: Cancelled) -> Finished:
        start = time.monotonic()
        outputs.check_folder(spec.output.parent if spec.output else self._settings.output_dir)
        peak = PeakMemory()
        report = Report(emit, cancelled)
        changes: dict[str, Any] = {}
        with self.registry.acquire(spec.recipe, report.on_loading, spec.request, report.check) as pipeline:
            report.check()
            emit(Progress("encode"))
            clips = pipeline(spec.request, report.on_step)
            weights = self.registry.describe(pipeline)
            if weights and self.registry.options.changes_pixels:
                changes = {"made_with": list(self.registry.options.changes_pixels)}
            peak.include(self.registry.peak_bytes(pipeline))
        report.check()
        emit(Progress("save"))
        seconds = time.monotonic() - start
        facts = {
            "weights": weights,
            "versions": versions(),
            "commit": commit(),
            "device": self.registry.status()["device"],
            "seconds": round(seconds, 3),
            "peak_memory_mb": peak.megabytes(),
            **changes,
        }
        saved = outputs.save(clips, spec, self._settings.output_dir, facts, self._settings.certificate_dir)
        return Finished(saved.paths, saved.poster, time.monotonic() - start)


class Report:
    """Turns steps into events: time left from this job's own steps, previews no more often than they are cheap."""

    def __init__(self, emit: Emit, cancelled: Cancelled) -> None:
        self._emit = emit
        self._cancelled = cancelled
        self._last_step: float | None = None
        self._step_seconds: deque[float] = deque(maxlen=RECENT_STEPS)
        self._next_preview = 0.0
        self._next_loading = 0.0

    def check(self) -> None:
        if self._cancelled():
            raise StopRequested

    def on_loading(self, stage: str, done_bytes: int, total_bytes: int) -> None:
        self.check()
        now = time.monotonic()
        if now >= self._next_loading or done_bytes == total_bytes:
            self._next_loading = now + LOADING_SECONDS
            self._emit(Loading(stage, done_bytes, total_bytes))

    def on_step(self, step: Step) -> None:
        self.check()
        now = time.monotonic()
        if self._last_step is not None:
            self._step_seconds.append(now - self._last_step)
        self._last_step = now
        left = statistics.median(self._step_seconds) * (step.total - step.index) if self._step_seconds else None
        self._emit(Progress("denoise", step.index, step.total, self._preview(step.preview), left))
        if step.index == step.total:
            self._emit(Progress("decode", step.total, step.total))

    def _preview(self, frames: Any) -> bytes | None:
        start = time.monotonic()
        if frames is None or start < self._next_preview:
            return None
        stride = -(-len(frames) // PREVIEW_FRAMES) if frames.ndim == 4 else 1
        picture = outputs.encode_webp(frames[::stride])
        end = time.monotonic()
        self._next_preview = end + (end - start) / PREVIEW_SHARE
        return picture


class PeakMemory:
    """The most memory in use since this was made: on the GPU if there is one, else this process's."""

    def __init__(self) -> None:
        torch = sys.modules.get("torch")
        self._cuda = torch.cuda if torch is not None and torch.cuda.is_available() else None
        self._included = 0
        if self._cuda:
            self._cuda.reset_peak_memory_stats()
        else:
            with contextlib.suppress(OSError):  # elsewhere than Linux the peak is the process's, not the job's
                Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, the peak of resident memory

    def include(self, bytes: int) -> None:
        """A peak that others measured; each measurement starts the count again."""
        self._included = max(self._included, bytes)

    def megabytes(self) -> int:
        return max(self._included, self._bytes()) >> 20

    def _bytes(self) -> int:
        if self._cuda:
            return self._cuda.max_memory_allocated()
        try:
            lines = Path("/proc/self/status").read_text().splitlines()
            return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) << 10
        except (OSError, StopIteration):
            import resource

            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@functools.cache
def versions() -> dict[str, str]:
    """Of Python and the libraries that shape a result."""
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def commit() -> str | None:
    """The git commit of this studio, if it runs from a checkout."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
