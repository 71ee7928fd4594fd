"""Bring a preset's weights to this machine: list, check the room, fetch, convert. Continues what was begun before."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from models.method import REPOSITORY
from studio.presets import Preset
from studio.registry.files import WeightsError
from studio.weights import hub_cache
from studio.weights.conversion import convert
from studio.weights.hub import HubFile, Listing, list_repository
from studio.weights.hub_cache import HubSource
from studio.weights.library import Library, Status, file_name
from studio.weights.needs import Need
from studio.weights.transfer import (
    Checksum,
    DownloadStopped,
    RemoteFile,
    Stop,
    digest_of,
    fetch,
    locked,
    matches,
)

SPARE_BYTES = 256 << 20  # left free beside what is fetched


@dataclass(frozen=True)
class Progress:
    """`what` is under way; bytes of all files together, those from before included."""

    what: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]
Plan = list[tuple[Need, Listing, tuple[HubFile, ...]]]


def get(library: Library, preset: Preset, on_progress: OnProgress, stop: Stop, by_hand: Path | None = None) -> None:
    """Everything published that `preset` lacks, its terms agreed to. `by_hand`: the folder of a browser's downloads.

    WeightsError says what is in the way; DownloadStopped when `stop` says so. What has arrived stays.
    """
    status = library.status(preset)
    for part in status.to_fetch:
        if part.by_hand:
            take_by_hand(library, part.need, by_hand)
    plan = survey(library, preset)
    for need, listing, _ in plan:
        library.records.write(need.place, listing, accepted=True)
    _check_room(library, status, plan)
    total = sum(file.size for _, _, files in plan for file in files)
    done = 0
    for need, listing, files in plan:
        for file in files:
            before = done
            name = f"{need.name}: {file.path}"

            def on_bytes(have: int, name: str = name, before: int = before) -> None:
                on_progress(Progress(name, before + have, total))

            _bring(library, need, listing, file, on_bytes, stop)
            done = before + file.size
    for conversion in status.to_make:
        convert(library, conversion, lambda what, done, total: on_progress(Progress(what, done, total)), stop)
    after = library.status(preset)
    if after.to_make or after.to_fetch:
        lacking = [part.need.name for part in after.to_fetch]
        raise WeightsError(
            f"{preset.key} still lacks {', '.join(lacking) or 'a part'} after the download.",
            "Its publisher may have moved files; look at the preset's weights.",
        )


def survey(library: Library, preset: Preset) -> Plan:
    """Ask for the names and sizes of what `preset` lacks; nothing is fetched, no terms are needed.

    WeightsError at once when offline, unreachable or gone, or when what the preset lacks is published nowhere.
    """
    status = library.status(preset)
    if status.missing and not status.to_fetch:
        raise WeightsError(
            f"{preset.key} names {', '.join(status.missing)}, which no one publishes.",
            "Train it, or put your own there.",
        )
    plan = []
    for part in status.to_fetch:
        if not part.by_hand:
            listing, files = _listed(library, part.need)
            library.records.write(part.need.place, listing)
            plan.append((part.need, listing, files))
    return plan


def take_by_hand(library: Library, need: Need, folder: Path | None) -> None:
    """Copy a file that only a browser can fetch from `folder`; WeightsError with instructions when it is not there."""
    name, target = file_name(need.place), library.file(need.place)
    expected = _named_checksum(need.place)
    found = folder / name if folder else None
    if found is None or not found.is_file():
        where = f"Fetch it in a browser from {need.terms.url}" if need.terms else "Ask its authors for it"
        raise WeightsError(
            f"{name} cannot be fetched by a program.",
            f"{where}, then put it at {target}, or name its folder: --from FOLDER.",
        )
    if expected and not matches(found, expected):
        raise WeightsError(f"{found} is not the published file: its checksum differs.", "Fetch it again.")
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(target.name + ".copying")
    shutil.copyfile(found, beside)
    beside.replace(target)
    checksum = Checksum("sha256", digest_of(target))
    listing = Listing(need.place, "", (HubFile(name, target.stat().st_size, checksum),))
    library.records.write(need.place, listing, accepted=True)


def _listed(library: Library, need: Need) -> tuple[Listing, tuple[HubFile, ...]]:
    """The files of a need, from the record of a pinned place or from its server."""
    if not need.place.startswith("hub:"):
        listing = Listing(need.place, "", (_ask_for_file(need),))
        return listing, listing.files
    source = HubSource.parse(need.place)
    known = library.records.read(need.place)
    listing = known.listing if known and source.pinned else list_repository(source)
    files = listing.matching(need.patterns)
    for piece in need.pieces:
        found = listing.matching(piece.patterns)
        if not found or (piece.kind == "module" and not any(f.path.endswith(".safetensors") for f in found)):
            raise WeightsError(
                f"{listing.repository} at {listing.commit[:8]} has no {' or '.join(piece.patterns)}.",
                "Look at what it publishes, and change the preset's source.",
            )
    return listing, files


def _ask_for_file(need: Need) -> HubFile:
    """An address: its size from the server, its checksum from the source's own #sha256=."""
    import httpx2
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.utils import get_session

    from studio.weights.transfer import CONNECT_SECONDS, offline_error, refused_error, unreachable_error

    name, address = file_name(need.place), need.place.partition("#")[0]
    checksum = _named_checksum(need.place)
    if checksum is None:
        raise WeightsError(f"{address} is named without its sha256.", "Add #sha256=... to the source.")
    try:
        answer = get_session().head(address, follow_redirects=True, timeout=CONNECT_SECONDS)
    except OfflineModeIsEnabled as error:
        raise offline_error(name) from error
    except httpx2.HTTPError as error:
        raise unreachable_error(name, error) from error
    if answer.status_code >= 400:
        raise refused_error(name, answer.status_code)
    return HubFile(name, int(answer.headers.get("Content-Length", 0)), checksum)


def _named_checksum(place: str) -> Checksum | None:
    value = place.partition("#sha256=")[2]
    return Checksum("sha256", value) if value else None


def _bring(
    library: Library, need: Need, listing: Listing, file: HubFile, on_bytes: Callable[[int], None], stop: Stop
) -> None:
    """One file, by whichever process is first; the others wait and find it there."""
    target, blob = library.place_of(need, listing, file)
    partial = library.partial(need, file)
    hub = need.place.startswith("hub:")
    folder = hub_cache.repository_folder(HubSource.parse(need.place).repository) if hub else library.published
    lock = hub_cache.lock_of(folder, file.checksum.value) if hub else partial.with_name(partial.name + ".lock")

    def waiting() -> None:
        on_bytes(partial.stat().st_size if partial.exists() else 0)

    if not target.exists():
        with locked(lock, stop, waiting):
            if not blob.exists():
                remote = listing.remote(file) if hub else _address(need, file)
                fetch(remote, partial, blob, on_bytes, stop)
            if hub:
                hub_cache.link(folder, listing.commit, file.path, file.checksum.value)
    if hub and not HubSource.parse(need.place).pinned:
        hub_cache.write_ref(folder, HubSource.parse(need.place).revision, listing.commit)
    on_bytes(file.size)
    if stop():
        raise DownloadStopped


def _address(need: Need, file: HubFile) -> RemoteFile:
    return RemoteFile(file.path, need.place.partition("#")[0], file.size or None, file.checksum)


def _check_room(library: Library, status: Status, plan: Plan) -> None:
    """Before the first byte: WeightsError when a disk cannot hold what is to come."""
    wanted: dict[int, tuple[Path, int]] = {}

    def add(folder: Path, count: int) -> None:
        place = next(parent for parent in (folder, *folder.parents) if parent.exists())
        device = place.stat().st_dev
        wanted[device] = (place, wanted.get(device, (place, 0))[1] + count)

    for need, listing, files in plan:
        for file in files:
            blob, partial = library.place_of(need, listing, file)[1], library.partial(need, file)
            if not blob.exists():
                add(blob.parent, file.size - (partial.stat().st_size if partial.exists() else 0))
    sizes = {need.place: sum(file.size for file in files) for need, _, files in plan}
    for conversion in status.to_make:
        sources = [published.source for published in conversion.sources.values()]
        made = sum(size for place, size in sizes.items() if any(source.startswith(place) for source in sources))
        add(REPOSITORY / conversion.folder, made)
    for place, count in wanted.values():
        free = shutil.disk_usage(place).free
        if count and free < count + SPARE_BYTES:
            raise WeightsError(
                f"{status.preset.key} needs {count / 1e9:.1f} GB at {place}, and {free / 1e9:.1f} GB are free.",
                "Make room, for example with: python -m studio weights free PRESET, or set HF_HOME to a larger disk.",
            )
