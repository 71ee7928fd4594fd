"""Comparisons on disk and their jobs: started, followed, stopped, retried. A file of JSON each outlives a restart."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from studio.compare.plan import Plan
from studio.events import Event, Failed, Finished, Progress, StudioError, kept_values
from studio.history import Entry, History
from studio.jobs import Job, JobQueue
from studio.presets import Preset, request_with

State = Literal["waiting", "running", "finished", "failed", "stopped", "impossible"]
RUNNING: tuple[State, ...] = ("waiting", "running")
COMPARISONS = "comparisons"  # their folder among the results
KEPT = 200  # files of one owner; older comparisons go, their videos stay in the history


@dataclass(frozen=True)
class Member:
    """One cell as it is kept. `job` is the id of its job, also after its end; empty when it was never submitted."""

    row: int
    column: int
    label: str
    variant: str
    preset: str
    request: dict[str, Any]
    job: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Comparison:
    """A grid of members; `created` in seconds since 1970."""

    id: str
    created: float
    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    members: tuple[Member, ...]


@dataclass(frozen=True)
class CellState:
    """How a cell stands now. `event` is the latest of a job that is not over; `paths` are its clips."""

    member: Member
    state: State
    message: str = ""
    event: Event | None = None
    paths: tuple[Path, ...] = ()
    poster: Path | None = None
    seconds: float | None = None

    @property
    def preview(self) -> bytes | None:
        return self.event.preview if isinstance(self.event, Progress) else None


class Comparisons:
    """Every owner's comparisons under one folder."""

    def __init__(self, folder: Path, jobs: JobQueue, history: History, presets: Mapping[str, Preset]) -> None:
        self._folder, self._jobs, self._history, self.presets = folder, jobs, history, presets

    def start(self, plan: Plan, owner: str) -> Comparison:
        """Submit every cell that can be made, weights by weights. StudioError when none can."""
        if not plan.possible:
            reason = next((cell.reason for cell in plan.cells if cell.reason), "")
            raise StudioError("None of these videos can be made.", reason)
        jobs: dict[tuple[int, int], tuple[str, str]] = {}
        for cell in plan.order():
            assert cell.request is not None
            try:
                job = self._jobs.submit(cell.variant.preset, cell.request, owner)
                jobs[cell.row, cell.column] = (job.id, "")
            except (ValueError, StudioError) as error:  # a full queue stops the rest of them alone
                jobs[cell.row, cell.column] = ("", str(error))
        members = []
        for cell in plan.cells:
            job, reason = jobs.get((cell.row, cell.column), ("", cell.reason))
            values = kept_values(cell.request) if cell.request else {}
            key = cell.variant.preset.key
            members.append(Member(cell.row, cell.column, cell.label, cell.variant.key, key, values, job, reason))
        made = Comparison(_new_id(), time.time(), plan.brief.prompt, plan.rows, plan.columns, tuple(members))
        self._write(made, owner)
        return made

    def states(self, comparison: Comparison, owner: str) -> list[CellState]:
        """Every cell as it stands now, in the order of the grid."""
        return [self._state(member, owner) for member in comparison.members]

    def stop(self, comparison: Comparison, owner: str, index: int | None = None) -> None:
        """Stop one cell, or all; the last first, so that none of them starts only to be stopped."""
        chosen = comparison.members if index is None else comparison.members[index : index + 1]
        for member in reversed(chosen):
            if member.job:
                self._jobs.stop(member.job, owner)

    def retry(self, comparison: Comparison, owner: str, index: int) -> Comparison:
        """Make one cell again. StudioError or ValueError when it cannot be."""
        member = comparison.members[index]
        preset = self.presets.get(member.preset)
        if preset is None or not member.request:
            raise StudioError(f"{member.label} cannot be made here.", member.reason)
        before = self._jobs.get(member.job, owner)  # it alone still knows a picture of the person's own
        # checked anew: its picture may have been forgotten or swept meanwhile
        request = replace(before.request) if before else request_with(preset.request, member.request)
        job = self._jobs.submit(preset, request, owner)
        return self._with_member(comparison, owner, index, replace(member, job=job.id, reason=""))

    def add(self, comparison: Comparison | None, entry: Entry, label: str, owner: str) -> Comparison:
        """A past result beside the others, in a row of its own; a new comparison when there is none."""
        prompt = str(entry.request.get("prompt", ""))
        comparison = comparison or Comparison(_new_id(), time.time(), prompt, (), ("",), ())
        if any(member.job == entry.id for member in comparison.members):
            return comparison
        row = len(comparison.rows)
        member = Member(row, 0, label, entry.preset, entry.preset, entry.request, entry.id)
        grown = replace(comparison, rows=(*comparison.rows, label), members=(*comparison.members, member))
        self._write(grown, owner)
        return grown

    def keep(self, comparison: Comparison, owner: str) -> None:
        """Write a comparison that came from elsewhere."""
        self._write(comparison, owner)

    def remove_older(self, before: float) -> None:
        """Anybody's comparisons from before this moment of which no result is left."""
        for file in self._folder.glob("*/*.json"):
            found = self._read(file)
            if found and found.created < before and not any(self._history.knows(m.job) for m in found.members):
                file.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # fails while others lie there
                    file.parent.rmdir()

    def get(self, id: str, owner: str) -> Comparison | None:
        """This owner's comparison, or None; `id` may come from the page, so it is never used as a path unchecked."""
        return next((self._read(file) for file in self._files(owner) if file.stem == id), None)

    def newest(self, owner: str, limit: int = 12) -> list[Comparison]:
        """This owner's comparisons, newest first; damaged files are passed over."""
        found = (self._read(file) for file in self._files(owner))
        return [comparison for comparison, _ in zip(filter(None, found), range(limit), strict=False)]

    def _state(self, member: Member, owner: str) -> CellState:
        if not member.job:
            return CellState(member, "impossible", member.reason)
        job = self._jobs.get(member.job, owner)
        if job is not None and not job.done:
            return CellState(member, "waiting" if job.state == "waiting" else "running", event=job.latest)
        if job is not None:
            return _ended(member, job)
        entry = self._history.entry(member.job, owner)
        if entry is None:
            return CellState(member, "failed", "This result was deleted.")
        message = f"{entry.message} {entry.advice}".strip()
        state: State = "failed" if entry.state == "running" else entry.state  # type: ignore[assignment]
        return CellState(member, state, message, None, entry.paths, entry.poster, entry.seconds or None)

    def _with_member(self, comparison: Comparison, owner: str, index: int, member: Member) -> Comparison:
        members = list(comparison.members)
        members[index] = member
        changed = replace(comparison, members=tuple(members))
        self._write(changed, owner)
        return changed

    def _files(self, owner: str) -> list[Path]:
        return sorted((self._folder / owner_folder(owner)).glob("*.json"), reverse=True)

    def _read(self, file: Path) -> Comparison | None:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            return comparison_from(json.loads(file.read_text(encoding="utf-8")))
        return None

    def _write(self, comparison: Comparison, owner: str) -> None:
        """Written beside, then renamed."""
        folder = self._folder / owner_folder(owner)
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f".{comparison.id}-{secrets.token_hex(4)}"
        beside.write_text(json.dumps(asdict(comparison), ensure_ascii=False), encoding="utf-8")
        beside.replace(folder / f"{comparison.id}.json")
        for old in self._files(owner)[KEPT:]:
            old.unlink(missing_ok=True)


def comparison_from(values: Mapping[str, Any]) -> Comparison:
    """From what JSON kept. KeyError, TypeError or ValueError when it is something else."""
    members = tuple(Member(**member) for member in values["members"])
    rows, columns = tuple(map(str, values["rows"])), tuple(map(str, values["columns"]))
    if not all(0 <= member.row < len(rows) and 0 <= member.column < len(columns) for member in members):
        raise ValueError("a member lies outside the grid")
    return Comparison(str(values["id"]), float(values["created"]), str(values["title"]), rows, columns, members)


def owner_folder(owner: str) -> str:
    """A name that tells nothing of the visitor's secret one."""
    return hashlib.sha256(owner.encode()).hexdigest()[:24]


def _new_id() -> str:
    """Sorts by time."""
    return f"{time.time_ns():020d}-{secrets.token_hex(4)}"


def _ended(member: Member, job: Job) -> CellState:
    event = job.latest
    if isinstance(event, Finished):
        return CellState(member, "finished", "", None, event.paths, event.poster, event.seconds)
    if isinstance(event, Failed):
        return CellState(member, "failed", f"{event.message} {event.advice}".strip())
    return CellState(member, "stopped")
