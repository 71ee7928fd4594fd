"""SQLite record of every job; survives restarts. Writes come from the queue's thread, reads from any."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.events import Event, Failed, Finished, Stopped, StudioError, kept_values
from studio.jobs import Job

TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, preset TEXT NOT NULL, method TEXT NOT NULL, request TEXT NOT NULL,
    created REAL NOT NULL, state TEXT NOT NULL, paths TEXT NOT NULL DEFAULT '[]', poster TEXT NOT NULL DEFAULT '',
    seconds REAL NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '', advice TEXT NOT NULL DEFAULT '')
"""
INDEX = "CREATE INDEX IF NOT EXISTS by_owner ON jobs (owner, created)"
COLUMNS = "id, owner, preset, method, request, created, state, paths, poster, seconds, message, advice"
REQUEST = COLUMNS.split(", ").index("request")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One past or running job. `state` is running, finished, failed or stopped; `created` in seconds since 1970."""

    id: str
    owner: str
    preset: str
    method: str
    request: dict[str, Any]
    created: float
    state: str
    paths: tuple[Path, ...] = ()
    poster: Path | None = None
    seconds: float = 0.0
    message: str = ""
    advice: str = ""

    @property
    def prompt(self) -> str:
        return str(self.request.get("prompt", ""))


class History:
    """The record in one file. `notice` tells, after opening, of a damaged file that was moved aside."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notice = ""
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = _open(path)
        except sqlite3.OperationalError as error:
            raise StudioError(
                f"The history {path} cannot be opened: {error}.", "Choose an output folder you can write to."
            ) from error
        except OSError as error:
            raise StudioError(
                f"The folder {path.parent} cannot be made: {error.strerror}.",
                "Choose an output folder you can write to.",
            ) from error
        except sqlite3.DatabaseError:
            self._begin_anew()
        self._fail_unfinished()

    def add(self, job: Job) -> None:
        """Record a job that was just submitted."""
        request = json.dumps(kept_values(job.request), ensure_ascii=False)
        values = (job.id, job.owner, job.preset_name, job.method, request, job.created)
        self._write(
            "INSERT INTO jobs (id, owner, preset, method, request, created, state) VALUES (?,?,?,?,?,?,'running')",
            values,
        )

    def finish(self, job: Job, event: Event) -> None:
        """Record how a job ended, also when its beginning stood in a file that was put aside since."""
        for _ in range(2):
            if isinstance(event, Finished):
                paths = json.dumps([str(path) for path in event.paths])
                self._write(
                    "UPDATE jobs SET state='finished', paths=?, poster=?, seconds=? WHERE id=?",
                    (paths, str(event.poster), event.seconds, job.id),
                )
            elif isinstance(event, Failed):
                self._write(
                    "UPDATE jobs SET state='failed', message=?, advice=? WHERE id=?",
                    (event.message, event.advice, job.id),
                )
            elif isinstance(event, Stopped):
                self._write("UPDATE jobs SET state='stopped' WHERE id=?", (job.id,))
            if self.entry(job.id, job.owner) is not None:
                return
            self.add(job)

    def entries(
        self, owner: str, limit: int = 50, state: str | None = None, before: float | None = None,
        since: float | None = None, preset: str | None = None, words: str = "",
    ) -> list[Entry]:  # fmt: skip
        """This owner's jobs, newest first, created in [since, before); `words` are all in the prompt, in any case."""
        rows = self._execute(
            f"SELECT {COLUMNS} FROM jobs WHERE owner=:owner AND (:state IS NULL OR state=:state)"
            " AND (:before IS NULL OR created<:before) AND (:since IS NULL OR created>=:since)"
            " AND (:preset IS NULL OR preset=:preset) ORDER BY created DESC, rowid DESC LIMIT :rows",
            {"owner": owner, "state": state, "before": before, "since": since, "preset": preset,
             "rows": -1 if words.strip() else limit},
        )  # fmt: skip
        wanted = words.casefold().split()  # here and not in SQL, whose LIKE folds the case of ASCII alone
        kept = (row for row in rows if not wanted or all(word in _prompt(row).casefold() for word in wanted))
        return [_entry(row) for row in itertools.islice(kept, limit)]

    def finished(self, preset: str, limit: int) -> list[Entry]:
        """Anybody's newest finished jobs of a preset: what they cost, not whose they are."""
        return self._read("WHERE preset=? AND state='finished' ORDER BY created DESC LIMIT ?", (preset, limit))

    def ended(self, before: float) -> list[Entry]:
        """Anybody's jobs that are over and were asked for before this moment."""
        return self._read("WHERE created<? AND state<>'running' ORDER BY created", (before,))

    def knows(self, id: str) -> bool:
        """Whether anybody's job of this id is recorded."""
        return bool(self._read("WHERE id=?", (id,)))

    def adopt(self, entry: Entry) -> None:
        """Record a result that was made elsewhere."""
        request = json.dumps(entry.request, ensure_ascii=False)
        paths = json.dumps([str(path) for path in entry.paths])
        self._write(
            f"INSERT INTO jobs ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (entry.id, entry.owner, entry.preset, entry.method, request, entry.created, entry.state, paths,
             str(entry.poster or ""), entry.seconds, entry.message, entry.advice),
        )  # fmt: skip

    def remove(self, id: str, owner: str) -> Entry | None:
        """Forget one of this owner's jobs that is over, and return it; its files are the caller's to delete."""
        entry = self.entry(id, owner)
        if entry is None or entry.state == "running":
            return None
        self._write("DELETE FROM jobs WHERE id=? AND owner=?", (id, owner))
        return entry

    def entry(self, id: str, owner: str) -> Entry | None:
        """One job, if it is this owner's."""
        found = self._read("WHERE id=? AND owner=?", (id, owner))
        return found[0] if found else None

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _fail_unfinished(self) -> None:
        self._write(
            "UPDATE jobs SET state='failed', message=?, advice=? WHERE state='running'",
            ("The studio ended before this video was done.", "Generate it again with the same settings."),
        )

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        self._execute(statement, values)

    def _read(self, where: str, values: tuple[Any, ...]) -> list[Entry]:
        return [_entry(row) for row in self._execute(f"SELECT {COLUMNS} FROM jobs {where}", values)]

    def _execute(self, statement: str, values: tuple[Any, ...] | dict[str, Any]) -> list[tuple[Any, ...]]:
        """Run a statement; once more in a new file when the old one turns out to be damaged."""
        with self._lock:
            try:
                with self._database:
                    return self._database.execute(statement, values).fetchall()
            except sqlite3.DatabaseError as error:
                if type(error) is not sqlite3.DatabaseError:  # its children: a full disk, a lock, a closed database
                    raise
                with contextlib.suppress(sqlite3.Error):
                    self._database.close()
                self._begin_anew()
                with self._database:
                    return self._database.execute(statement, values).fetchall()

    def _begin_anew(self) -> None:
        """Put a damaged file aside and open a new one."""
        aside = _move_aside(self.path)
        self.notice = f"The history was damaged. It is kept as {aside.name}, and a new one was begun."
        logger.warning(self.notice)
        self._database = _open(self.path)


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False, timeout=10.0)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        if database.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("quick_check failed")
        with database:
            database.execute(TABLE)
            database.execute(INDEX)
        database.execute(f"SELECT {COLUMNS} FROM jobs LIMIT 1").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def _move_aside(path: Path) -> Path:
    """Rename a damaged file and its journals; they go together, a journal left behind would damage the new one."""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**6:06d}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def _prompt(row: tuple[Any, ...]) -> str:
    return str(json.loads(row[REQUEST]).get("prompt", ""))


def _entry(row: tuple[Any, ...]) -> Entry:
    id, owner, preset, method, request, created, state, paths, poster, seconds, message, advice = row
    return Entry(
        id, owner, preset, method, json.loads(request), created, state,
        tuple(Path(path) for path in json.loads(paths)), Path(poster) if poster else None, seconds, message, advice,
    )  # fmt: skip
