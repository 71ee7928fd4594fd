"""`python -m studio weights list | get | verify | free`: the same library as the page, in a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

from studio.presets import Preset, did_you_mean
from studio.registry.files import WeightsError
from studio.weights.fetching import Progress, get, survey
from studio.weights.library import Library, Part, Status
from studio.weights.terms import in_bytes, licence_words, summary
from studio.weights.transfer import DownloadStopped

LINE_SECONDS = 0.2  # between two changes of the live line
LOG_SHARE = 0.1  # in a log, a line for each tenth


def list_weights(library: Library, presets: Mapping[str, Preset]) -> int:
    """Every preset: where it stands, and its parts with size, licence and publisher."""
    for key, preset in presets.items():
        status = library.status(preset)
        print(f"{key}: {summary(status)}")
        for part in status.parts:
            print(_row(part))
        for conversion in status.to_make:
            print(f"    made here    {conversion.folder}")
        for folder in status.missing:
            print(f"    missing      {folder}, which no one publishes: train it, or copy your own there")
    return 0


def get_weights(library: Library, preset: Preset, accepted: bool, by_hand: Path | None) -> int:
    """Show what comes under which terms, wait for a yes, fetch. Ctrl-C keeps what has arrived."""
    survey(library, preset)  # exact sizes, before anything is asked
    status = library.status(preset)
    print(f"{preset.key}: {summary(status)}")
    if status.ready:
        return 0
    for part in status.to_fetch:
        print(_row(part))
        print(f"                 {licence_words(part.need)}")
    if status.to_fetch and not accepted and not _agreed(status):
        raise WeightsError("Nothing was fetched: the terms were not accepted.", "Add --accept-licence to accept them.")
    line = ProgressLine()
    try:
        get(library, preset, line.show, lambda: False, by_hand)
    except (KeyboardInterrupt, DownloadStopped):
        line.end()
        print("Stopped. What has arrived is kept; the same command continues.", file=sys.stderr)
        return 130
    finally:
        line.end()
    print(f"{preset.key}: {summary(library.status(preset))}")
    return 0


def verify_weights(library: Library, preset: Preset, remove: bool) -> int:
    """Compare with the published checksums; 1 when something is damaged."""
    line = ProgressLine()
    checked = library.verify(preset, lambda path: line.show(Progress(f"checking {path.name}", 0, 0)))
    line.end()
    for path in checked.damaged:
        print(f"damaged: {path}")
    if remove:
        library.remove_damaged(checked.damaged)
    print(f"{preset.key}: {checked.files} files compared, {len(checked.damaged)} damaged or missing")
    if checked.damaged and not remove:
        print("Remove them with --remove-damaged, then get the preset again.")
    return 1 if checked.damaged else 0


def free_weights(library: Library, preset: Preset, presets: Mapping[str, Preset], originals: bool) -> int:
    """Remove the files that no other ready preset uses."""
    freed = library.free(preset, presets.values(), originals)
    print(f"{preset.key}: {in_bytes(freed)} freed")
    return 0


def find_preset(name: str, presets: Mapping[str, Preset]) -> Preset:
    """A preset by "method/name", or a method's only downloadable one by "method"."""
    if name in presets:
        return presets[name]
    of_method = [p for p in presets.values() if p.method.name == name and p.name != "pocket"]
    if len(of_method) == 1:
        return of_method[0]
    raise ValueError(f"There is no preset {name!r}. {did_you_mean(name, presets)}")


class ProgressLine:
    """One line that changes on a terminal, or a line for each tenth in a log."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._last = 0.0
        self._said = ("", -1)

    def show(self, progress: Progress) -> None:
        share = progress.done / progress.total if progress.total else 0.0
        words = progress.what
        if progress.total:
            words = f"{share:4.0%} of {in_bytes(progress.total)}  {words}"
        if self._live:
            if time.monotonic() - self._last >= LINE_SECONDS or share == 1.0:
                self._last = time.monotonic()
                print(f"\r\033[K{words}", end="", file=sys.stderr, flush=True)
        elif (said := (progress.what, int(share / LOG_SHARE))) != self._said:
            self._said = said
            print(words, file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _row(part: Part) -> str:
    state = "here" if part.here else "by hand" if part.by_hand else "begun" if part.have else "missing"
    terms = part.need.terms
    size = in_bytes(part.bytes) if part.bytes else "size unknown"
    return f"    {state:<10}{size:>13}  {part.need.name}  [{terms.licence if terms else 'licence not stated'}]"


def _agreed(status: Status) -> bool:
    if not sys.stdin.isatty():
        return False
    size = in_bytes(status.bytes_to_fetch)
    return input(f"Type yes to accept these terms and fetch {size}: ").strip().lower() in ("y", "yes")
