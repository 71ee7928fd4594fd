"""What was fetched, kept as one small JSON file per place: names, sizes, checksums, commit, the day of consent."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from studio.registry.files import write_json
from studio.weights.hub import HubFile, Listing
from studio.weights.transfer import Checksum


@dataclass(frozen=True)
class Record:
    """The files that a place offers at `commit`; for a single file, `commit` is empty."""

    place: str
    listing: Listing
    accepted: str  # the day on which its terms were accepted, year-month-day; empty before


class Records:
    """Reads and writes them; a damaged one counts as absent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, place: str) -> Record | None:
        try:
            content = json.loads(self._path(place).read_text(encoding="utf-8"))
            files = tuple(HubFile(f["path"], f["size"], Checksum(**f["checksum"])) for f in content["files"])
            return Record(place, Listing(content["repository"], content["commit"], files), content["accepted"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, place: str, listing: Listing, accepted: bool = False) -> None:
        """Keep what a place offers; `accepted`: the person has agreed to its terms just now."""
        known = self.read(place)
        day = time.strftime("%Y-%m-%d") if accepted else known.accepted if known else ""
        content = {"place": place, "accepted": day, **asdict(listing)}
        write_json(self._path(place), content)

    def forget(self, place: str) -> None:
        self._path(place).unlink(missing_ok=True)

    def _path(self, place: str) -> Path:
        readable = re.sub(r"[^\w.-]+", "-", place)[:80].strip("-")
        return self.folder / f"{readable}-{hashlib.sha256(place.encode()).hexdigest()[:8]}.json"
