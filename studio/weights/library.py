"""The weights of this machine: what each preset needs, what is here, what is damaged, and what can go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from models.method import REPOSITORY, Conversion, Published
from studio.presets import Preset
from studio.weights import hub_cache
from studio.weights.hub import HubFile, Listing
from studio.weights.hub_cache import HubSource
from studio.weights.made import read_sums, remove_folder
from studio.weights.needs import Need, conversions_of, is_made, needs_of, path_in, sources_of
from studio.weights.records import Record, Records
from studio.weights.transfer import Checksum, digest_of, matches


@dataclass(frozen=True)
class Part:
    """One place of a preset: its bytes, and how many are here. `bytes` 0: not known before the hub is asked."""

    need: Need
    bytes: int
    have: int
    here: bool

    @property
    def by_hand(self) -> bool:
        return self.need.place.startswith("hand:")


@dataclass(frozen=True)
class Status:
    """What a preset needs. `ready`: it can make a video now."""

    preset: Preset
    parts: tuple[Part, ...]
    to_make: tuple[Conversion, ...]
    missing: tuple[str, ...]  # folders that the preset names, that are absent, and that no one publishes

    @property
    def ready(self) -> bool:
        return not (self.to_fetch or self.to_make or self.missing)

    @property
    def to_fetch(self) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if not part.here)

    @property
    def bytes_to_fetch(self) -> int:
        return sum(max(part.bytes - part.have, 0) for part in self.to_fetch)


@dataclass(frozen=True)
class Checked:
    """The result of a check: damaged or missing files by name, and how many were compared."""

    damaged: tuple[Path, ...]
    files: int


class Library:
    """`cache_dir` holds the records and the files that come from outside the hub; hub files lie in the hub's cache."""

    def __init__(self, cache_dir: Path) -> None:
        self.records = Records(cache_dir / "records")
        self.published = cache_dir / "published"

    def status(self, preset: Preset) -> Status:
        to_make = tuple(c for c in conversions_of(preset) if not is_made(preset, c))
        parts = tuple(self._part(need) for need in needs_of(preset, to_make))
        covered = [Path(conversion.folder) for conversion in preset.method.conversions]
        missing = [s for s in sources_of(preset) if s.startswith(("weights/", "/")) and not (REPOSITORY / s).exists()]
        lost = tuple(s for s in missing if not any(Path(s).is_relative_to(folder) for folder in covered))
        return Status(preset, parts, to_make, lost)

    def root(self, place: str) -> Path | None:
        """Where the files of a place lie: a snapshot, or one file; None when nothing is here."""
        if place.startswith("hub:"):
            return hub_cache.find_snapshot(HubSource.parse(place))
        path = self.file(place)
        return path if path.is_file() else None

    def file(self, place: str) -> Path:
        """Where the file of an address, or one fetched by hand, belongs."""
        return self.published / file_name(place)

    def source_path(self, published: Published) -> Path | None:
        """What a conversion is given for this source."""
        place = HubSource.parse(published.source).place if published.source.startswith("hub:") else published.source
        root = self.root(place)
        return path_in(published, root) if root else None

    def files(self, need: Need) -> tuple[Record, tuple[HubFile, ...]] | None:
        """What the need consists of, when it has been asked for before."""
        record = self.records.read(need.place)
        if record is None:
            return None
        single = not need.place.startswith("hub:")
        return record, record.listing.files if single else record.listing.matching(need.patterns)

    def place_of(self, need: Need, listing: Listing, file: HubFile) -> tuple[Path, Path]:
        """Where one file of a need is found, and where its bytes lie."""
        if not need.place.startswith("hub:"):
            return self.file(need.place), self.file(need.place)
        folder = hub_cache.repository_folder(HubSource.parse(need.place).repository)
        return folder / "snapshots" / listing.commit / file.path, folder / "blobs" / file.checksum.value

    def partial(self, need: Need, file: HubFile) -> Path:
        if not need.place.startswith("hub:"):
            return self.file(need.place).with_name(self.file(need.place).name + hub_cache.PARTIAL_SUFFIX)
        folder = hub_cache.repository_folder(HubSource.parse(need.place).repository)
        return hub_cache.partial_of(folder, file.checksum.value)

    def verify(self, preset: Preset, on_file: Callable[[Path], None] = lambda path: None) -> Checked:
        """Compare every file with its published checksum, converted ones with what was written."""
        damaged: list[Path] = []
        count = 0
        absent = {part.need.place for part in self.status(preset).to_fetch}
        for need in needs_of(preset, conversions_of(preset)):
            for path, checksum in self._checksums(need):
                if path.exists():
                    on_file(path)
                    count += 1
                    damaged += [] if matches(path, checksum) else [path]
                elif need.place in absent:  # else an original that has been converted and freed
                    damaged.append(path)
        for conversion in conversions_of(preset):
            folder = REPOSITORY / conversion.folder
            for name, digest in read_sums(folder).items():
                on_file(folder / name)
                count += 1
                if not (folder / name).is_file() or digest_of(folder / name) != digest:
                    damaged.append(folder / name)
        return Checked(tuple(damaged), count)

    def free(self, preset: Preset, others: Iterable[Preset], originals_only: bool = False) -> int:
        """Remove what only this preset uses; the bytes freed. `others` keep theirs if they are ready.

        `originals_only`: just the published files that have been converted.
        """
        conversions = conversions_of(preset)
        kept = self._kept(o for o in others if o.key != preset.key)
        direct = {need.place: need for need in needs_of(preset, ())}
        freed = 0
        for need in needs_of(preset, conversions):
            known = self.files(need)
            if known is None or (originals_only and need.place in direct):
                continue
            for file in known[1]:
                if (need.place, file.path) not in kept:
                    freed += self._remove(need, known[0].listing, file)
        for conversion in () if originals_only else conversions:
            if conversion.folder not in {folder for place, folder in kept if place == "folder"}:
                freed += remove_folder(REPOSITORY / conversion.folder)
        return freed

    def remove_damaged(self, damaged: Iterable[Path]) -> None:
        """Take damaged files away, so that they are fetched or made again."""
        for path in damaged:
            blob = path.resolve()
            path.unlink(missing_ok=True)
            blob.unlink(missing_ok=True)

    def _checksums(self, need: Need) -> list[tuple[Path, Checksum]]:
        known = self.files(need)
        if known is None:
            return []
        return [(self.place_of(need, known[0].listing, file)[0], file.checksum) for file in known[1]]

    def _kept(self, others: Iterable[Preset]) -> set[tuple[str, str]]:
        kept: set[tuple[str, str]] = set()
        for other in others:
            if not self.status(other).ready:
                continue
            kept |= {("folder", conversion.folder) for conversion in conversions_of(other)}
            for need in needs_of(other, ()):
                known = self.files(need)
                kept |= {(need.place, file.path) for file in (known[1] if known else ())}
        return kept

    def _remove(self, need: Need, listing: Listing, file: HubFile) -> int:
        if need.place.startswith("hub:"):
            folder = hub_cache.repository_folder(HubSource.parse(need.place).repository)
            return hub_cache.unlink(folder, listing.commit, file.path, file.checksum.value)
        path = self.file(need.place)
        size = path.stat().st_size if path.exists() else 0
        path.unlink(missing_ok=True)
        return size

    def _part(self, need: Need) -> Part:
        root = self.root(need.place)
        known = self.files(need)
        if known is None:
            here = root is not None and (root.is_file() or all(piece.is_in(root) for piece in need.pieces))
            total = need.terms.bytes if need.terms else 0
            return Part(need, total, total if here else 0, here)
        record, files = known
        total = sum(file.size for file in files)
        have = 0
        for file in files:
            place, blob = self.place_of(need, record.listing, file)
            gathered = next((p for p in (place, blob, self.partial(need, file)) if p.exists()), None)
            have += min(gathered.stat().st_size, file.size) if gathered else 0
        here = bool(files) and all(self.place_of(need, record.listing, file)[0].exists() for file in files)
        return Part(need, total, have, here)


def file_name(place: str) -> str:
    """The file's own name, of an address or of a file fetched by hand."""
    plain = place.partition("#")[0]
    return Path(urlsplit(plain).path if "://" in plain else plain.partition(":")[2]).name
