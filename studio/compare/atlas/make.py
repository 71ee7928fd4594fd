"""Make what is wanted and not there yet: the plans, jobs and metrics of the compare tab, then small copies of it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from studio.compare.atlas.record import Recording, short
from studio.compare.atlas.wanted import Wanted
from studio.compare.cost import Costs
from studio.compare.matrix import Variant
from studio.compare.numbers import asked_of, measure_files
from studio.compare.plan import MOST_CELLS, Plan
from studio.compare.record import CellState, Comparison, Comparisons
from studio.events import Event, Finished, StudioError, kept_values
from studio.executors import make_executor
from studio.history import History
from studio.jobs import JobQueue
from studio.outputs import read_settings, write_small
from studio.presets import Preset
from studio.registry.files import WeightsError, find_folder, find_weights
from studio.registry.layout import combine_digests
from studio.settings import StudioSettings

OWNER = "atlas"
BUSY = 0.5  # other work per core from which timings are called those of a busy machine
NO_GPU = ("", "auto", "cpu")  # what settings call a device; auto before any network was built
Tell = Callable[[str, Event], None]  # of a cell's label


@dataclass
class Workshop:
    """Where videos are made; `tell` hears their events. `warm`: presets whose weights have been read."""

    made: Comparisons
    jobs: JobQueue
    costs: Costs
    tell: Tell
    warm: set[str] = field(default_factory=set)


@contextlib.contextmanager
def workshop(settings: StudioSettings, presets: Mapping[str, Preset], tell: Tell) -> Iterator[Workshop]:
    """In a folder of its own, which goes with it: the atlas keeps smaller copies."""
    with tempfile.TemporaryDirectory(prefix="quintet-atlas-") as place:
        folder = Path(place)
        history = History(folder / "history.sqlite")
        jobs = JobQueue(make_executor(replace(settings, output_dir=folder)), history, MOST_CELLS)
        try:
            yield Workshop(Comparisons(folder / "comparisons", jobs, history, presets), jobs, Costs(history), tell)
        finally:
            jobs.close()
            history.close()


def missing(
    wanted: Sequence[Wanted],
    there: Sequence[Recording],
    known: Mapping[str, Variant],
    costs: Costs,
    again: Collection[str] = (),
) -> list[Wanted]:
    """What is not there as it is wanted now. Another request, other weights or its name in `again` make it anew."""
    kept = {recording.id: recording for recording in there}
    lacking = []
    for each in wanted:
        recording = kept.get(each.id)
        anew = each.id.startswith(tuple(again)) if again else False
        asked = [kept_values(cell.request) for cell in each.plan(known, costs).cells if cell.request is not None]
        if recording is None or anew or asked != _recorded(recording) or _other_weights(recording):
            lacking.append(each)
    return lacking


@functools.cache
def digest_of(source: str) -> str:
    """Of the weights that lie there now, as a clip's settings name them; "" when there are none."""
    try:
        files = find_weights(find_folder(source))
    except WeightsError:
        return ""
    digests = []
    for file in files:
        with file.path.open("rb") as content:
            digests.append(hashlib.file_digest(content, "sha256").hexdigest())
    return combine_digests(digests)


def record(wanted: Wanted, known: Mapping[str, Variant], shop: Workshop, folder: Path) -> Recording:
    """Make the videos of one comparison, measure them, keep small copies. StudioError when one cannot be made."""
    load = os.getloadavg()[0]  # before this begins to compute itself
    plan = wanted.plan(known, shop.costs)
    comparison, states = _made(plan, shop)
    scores = []
    for state in states:
        asked = asked_of(state, shop.made.presets)
        assert asked is not None, "a finished cell has clips"
        scores.append([{name: short(score) for name, score in clip.items()} for clip in measure_files(asked)])
    machine = _machine(read_settings(states[0].paths[0]).get("device", ""), load)
    kept = tuple(replace(state, paths=_small(state, wanted.id, folder), poster=None) for state in states)
    members = tuple(replace(member, job="") for member in comparison.members)
    comparison = replace(comparison, id=wanted.id, members=members)
    kept = tuple(replace(state, member=member) for state, member in zip(kept, members, strict=True))
    return Recording(comparison, wanted.brief, kept, tuple(scores), time.strftime("%Y-%m-%d"), machine)


def _made(plan: Plan, shop: Workshop) -> tuple[Comparison, list[CellState]]:
    """Finished cells. Those that read weights are made twice: the time of a first video is not the method's."""
    presets = {cell.variant.preset.key for cell in plan.cells}
    if not presets <= shop.warm:
        _finish(shop.made.start(plan, OWNER), shop)
        shop.warm |= presets
    comparison = shop.made.start(plan, OWNER)
    _finish(comparison, shop)
    return comparison, shop.made.states(comparison, OWNER)


def _finish(comparison: Comparison, shop: Workshop) -> None:
    for member in comparison.members:
        job = shop.jobs.get(member.job, OWNER)
        if job is None:
            raise StudioError(f"{member.label} was not taken.", member.reason)
        for event in job.events():
            shop.tell(member.label, event)
        if not isinstance(job.latest, Finished):
            raise StudioError(f"{member.label} could not be made.", str(getattr(job.latest, "message", "")))


def _small(state: CellState, id: str, folder: Path) -> tuple[Path, ...]:
    """Copies named after the comparison, the variant's place and, of several clips, the clip's own name."""
    _, off, idea = state.member.variant.partition(":")
    made = []
    for path in state.paths:
        name = read_settings(path).get("clip")
        made.append(folder / f"{id}-{f'{idea}_off' if off else 'on'}{f'-{name}' if name else ''}.mp4")
        write_small(path, made[-1])
    return tuple(made)


def _recorded(recording: Recording) -> list[dict[str, object]]:
    return [member.request for member in recording.comparison.members]


def _other_weights(recording: Recording) -> bool:
    """Whether weights have changed since; those that are gone cannot make it anew, so they do not ask for it."""
    settings = [read_settings(path) for state in recording.states for path in state.paths]
    used = {(part["source"], part["sha256"]) for each in settings for part in each.get("weights", {}).values()}
    return any(digest_of(source) not in ("", digest) for source, digest in used)


def _machine(device: str, load: float) -> str:
    """What the timings belong to: 'CPU, 2 cores, x86_64'."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    kind = f"CPU, {cores} core{'' if cores == 1 else 's'}, {platform.machine()}" if device in NO_GPU else device
    return f"{kind}, busy with other work" if load / cores > BUSY else kind
