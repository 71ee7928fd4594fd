"""Jobs on a Space with a GPU that is lent by the call: weights are placed at start-up, each job runs in a fork.

What the place asks for: placing in the main thread before the page opens, one decorated function for all methods (two
would never share a warm worker), results that pickle, and a yield at every step, for only then is a stop heard.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from models.method import Recipe
from studio.events import TERMINAL, Event, Failed, JobSpec, Stopped
from studio.executors import Cancelled, Emit
from studio.executors.inline import InlineExecutor
from studio.settings import StudioSettings

if TYPE_CHECKING:
    from studio.engine import Engine

PACKED_LIMIT = 42 << 30  # bytes; above, every call silently costs double quota
START_SECONDS = 20  # moving what was placed, encoding, saving
SECONDS_PER_MEGAPIXEL_STEP = 0.12  # a 5-billion network at 49x480x720 takes 2 s a step
SHORTEST, LONGEST = 30, 280  # seconds; a day's free quota is 300
logger = logging.getLogger(__name__)


class ZeroGpuExecutor(InlineExecutor):
    """`spaces` is the library of that name; another is for tests."""

    def __init__(self, settings: StudioSettings, spaces: Any = None) -> None:
        super().__init__(settings)
        if spaces is None:
            import spaces  # pyright: ignore[reportMissingImports] -- present on a Space only
        self._call = spaces.GPU(duration=expected_seconds)(self._events)

    def warm(self, recipes: Sequence[Recipe] = ()) -> None:
        """Place as many methods as fit together, in order. Call it in the main thread, before the page opens."""
        assert threading.current_thread() is threading.main_thread(), "only the main thread's tensors are taken over"
        left_out = self._ready().registry.place(recipes, PACKED_LIMIT)
        for recipe in left_out:
            logger.warning("%s does not fit beside the others; it is read at every call", recipe.method)

    def run(self, spec: JobSpec, emit: Emit, cancelled: Cancelled) -> None:
        self._busy = True
        events = self._call(spec)
        try:
            for event in events:
                if isinstance(event, TERMINAL):
                    emit(event)
                    return
                if cancelled():
                    events.close()
                    emit(Stopped())
                    return
                emit(event)
        except Exception as error:
            refusal = getattr(error, "message", None)  # quota and waiting, worded by the library for the visitor
            if not isinstance(refusal, str):
                raise
            logger.info("no GPU was lent: %s", refusal)
            emit(Failed(refusal, "The limits are those of the place that lends the GPU."))
        finally:
            self._busy = False

    def _events(self, spec: JobSpec) -> Iterator[Event]:
        """In the fork: every event of a job. Closing it stops the job at its next step."""
        yield from stream_events(self._ready(), spec)


def stream_events(engine: Engine, spec: JobSpec) -> Generator[Event, None, None]:
    """A job's events one by one, ending with the terminal one; closing the generator stops the job."""
    events: queue.Queue[Event] = queue.Queue()
    stop = threading.Event()
    job = threading.Thread(target=engine.generate, args=(spec, events.put, stop.is_set), name="job", daemon=True)
    job.start()
    try:
        while True:
            event = events.get()
            yield event
            if isinstance(event, TERMINAL):
                return
    finally:
        stop.set()
        job.join()


def expected_seconds(spec: JobSpec) -> int:
    """How long the GPU is asked for: by the size of the video and the number of steps, on the safe side."""
    values = {**dict(spec.recipe.arguments), **vars(spec.request)}
    sides = [values.get(name) or 1 for name in ("num_frames", "height", "width", "num_views")]
    megapixels = sides[0] * sides[1] * sides[2] * sides[3] / 1e6
    steps = values.get("teacher_steps") if values.get("teacher") else values.get("num_inference_steps")
    seconds = START_SECONDS + SECONDS_PER_MEGAPIXEL_STEP * megapixels * (steps or 1)
    return int(min(max(seconds, SHORTEST), LONGEST))
