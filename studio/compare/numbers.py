"""The metrics of finished clips, computed in a process of their own: the page's process never imports OpenCV or torch.

It asks for nothing while videos are made, waits for nobody, and forgets what it knew when the studio ends.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.method import Clip, request_fields
from studio.cameras import clip_cameras
from studio.compare.brief import role_of
from studio.compare.record import CellState
from studio.events import StudioError
from studio.metrics.score import Score
from studio.outputs import read_settings
from studio.presets import FAVOURITE, Preset
from studio.video_files import read_frames

KEPT = 500  # measured jobs, the oldest go first
logger = logging.getLogger(__name__)
ClipScores = dict[str, Score]  # of one clip, by metric


@dataclass(frozen=True)
class Asked:
    """One job's clips and what is known of them; what the other process needs, and no more."""

    paths: tuple[Path, ...]
    facts: tuple[tuple[str, Any], ...]


class Numbers:
    """Asked again and again by the page; answers at once with what is known."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._known: dict[tuple[Any, ...], Future[list[ClipScores]]] = {}
        self._lock = threading.Lock()

    def of(self, state: CellState, presets: Mapping[str, Preset]) -> list[ClipScores] | None:
        """Scores of each clip of a finished cell; None while they are computed. Empty when they cannot be."""
        asked = asked_of(state, presets)
        if asked is None:
            return []
        key = tuple((str(path), path.stat().st_mtime_ns) for path in asked.paths)
        with self._lock:
            if key not in self._known:
                self._known[key] = self._start(asked)
                while len(self._known) > KEPT:
                    self._known.pop(next(iter(self._known)))
            answer = self._known[key]
        if not answer.done():
            return None
        error = answer.exception()
        if error is not None:
            logger.warning("the numbers of %s cannot be computed: %s", asked.paths[0].name, error)
            return []
        return answer.result()

    def measure(self, asked: Asked) -> list[ClipScores]:
        """Scores of each clip, waited for. ValueError for a file that is no clip; StudioError when it fails."""
        with self._lock:
            answer = self._start(asked)
        try:
            return answer.result()
        except (ValueError, StudioError):
            raise
        except Exception as error:
            logger.warning("clips of a client cannot be measured", exc_info=True)
            raise StudioError("These clips could not be measured.", "The log has the details.") from error

    def close(self) -> None:
        """End the process; what it was computing is lost."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, asked: Asked) -> Future[list[ClipScores]]:
        try:
            return self._submit(asked)
        except RuntimeError:  # the process died; a new one takes over, and the next question is asked again
            self._pool = None
            return self._submit(asked)

    def _submit(self, asked: Asked) -> Future[list[ClipScores]]:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_settle)
        return self._pool.submit(measure_files, asked)


def asked_of(state: CellState, presets: Mapping[str, Preset]) -> Asked | None:
    """What to measure of a cell, or None when it has no clips any more."""
    if state.state != "finished" or not state.paths or not all(path.is_file() for path in state.paths):
        return None
    facts: dict[str, Any] = {"prompt": str(state.member.request.get("prompt", "")), "seconds": state.seconds}
    facts["world"] = state.member.preset.endswith(f"/{FAVOURITE}")
    preset = presets.get(state.member.preset)
    for name, info in request_fields(preset.method.request).items() if preset else ():
        role, value = role_of(name, info), state.member.request.get(name)
        if role in ("person", "subject") and value and Path(value).is_file():
            facts["face" if role == "person" else "subject"] = Path(value)
    with contextlib.suppress(ValueError):
        facts["peak_memory_mb"] = read_settings(state.paths[0]).get("peak_memory_mb")
    return Asked(state.paths, tuple(facts.items()))


def written(measured: Mapping[str, list[ClipScores] | None]) -> dict[str, list[dict[str, Any]]]:
    """Scores by a cell's label as JSON can hold them; cells that are not measured are left out."""
    return {
        label: [{name: asdict(score) for name, score in clip.items()} for clip in clips]
        for label, clips in measured.items()
        if clips
    }


def measure_files(asked: Asked, metrics: Sequence[str] = ()) -> list[ClipScores]:
    """All metrics, or those named. Runs in the other process."""
    from studio.metrics import Facts, measure
    from studio.metrics.asked_cameras import asked_cameras

    clips = [_read(path) for path in asked.paths]
    scores = measure(clips, Facts(**dict(asked.facts), **asked_cameras(clips)), metrics)
    each = len(scores) // len(clips)
    return [{score.metric: score for score in scores[i * each : (i + 1) * each]} for i in range(len(clips))]


def _read(path: Path) -> Clip:
    import numpy as np

    frames, fps = read_frames(path)
    return Clip(np.stack(frames), fps, path.stem, clip_cameras(path))


def _settle() -> None:
    """Give way to the videos that are made, take one core, and end with the studio however it ends."""
    os.environ["OMP_NUM_THREADS"] = "1"
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)
    threading.Thread(target=_end_with_parent, name="end with the studio", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)
