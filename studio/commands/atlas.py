"""`python -m studio atlas`: the recorded comparisons in docs/atlas and their page, docs/index.html."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.commands import FAILED, INTERRUPTED, SETTINGS_ARE_FLAGS, load
from studio.events import Event, Failed, Finished, StudioError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from studio.compare.atlas import Wanted
    from studio.presets import Preset
    from studio.settings import StudioSettings


def add(commands: Any) -> None:
    atlas = commands.add_parser(
        "atlas", help="make the recorded comparisons that are missing, and their page", epilog=SETTINGS_ARE_FLAGS
    )
    atlas.add_argument("--list", type=Path, metavar="FILE.yaml", help="presets/atlas.yaml by default")
    atlas.add_argument("--folder", type=Path, metavar="FOLDER", help="docs/atlas by default; the page lies above it")
    only = "recordings whose name begins so, for example cvd"
    atlas.add_argument("--only", nargs="+", default=[], metavar="NAME", help=f"make no others: {only}")
    atlas.add_argument("--again", nargs="+", default=[], metavar="NAME", help=f"make anew: {only}")
    atlas.add_argument("--page", action="store_true", help="write the page alone, make no video")
    atlas.set_defaults(run=run)


def run(arguments: argparse.Namespace, rest: list[str]) -> int:
    from studio.compare.atlas import ATLAS, WANTED, read, read_wanted
    from studio.ui import atlas_page

    settings, presets = load(["--executor", "inline", *rest])
    folder = arguments.folder or ATLAS
    folder.mkdir(parents=True, exist_ok=True)
    wanted = read_wanted(arguments.list or WANTED)
    code = 0 if arguments.page else _make(wanted, arguments, settings, presets, folder)
    if there := read(folder):
        page = folder.parent / "index.html"
        page.write_text(atlas_page.page(there, presets, folder.name), encoding="utf-8")
        print(page)
    return code


def _make(
    wanted: Sequence[Wanted], arguments: argparse.Namespace, settings: StudioSettings,
    presets: Mapping[str, Preset], folder: Path,
) -> int:  # fmt: skip
    """What is not there yet; a failed one does not stop the others, and an interruption keeps what is finished."""
    from studio.compare import variants
    from studio.compare.atlas import make, read, write

    known = variants(presets.values())
    there = {recording.id: recording for recording in read(folder)}
    chosen = [each for each in wanted if each.id.startswith(tuple(arguments.only or [""]))]
    failed = 0
    try:
        with make.workshop(settings, presets, _tell) as shop:
            lacking = make.missing(chosen, list(there.values()), known, shop.costs, arguments.again)
            print(f"{len(chosen) - len(lacking)} there already, {len(lacking)} to make", file=sys.stderr)
            for each in lacking:
                print(f"{each.id}: {each.brief.prompt}", file=sys.stderr)
                try:
                    there[each.id] = make.record(each, known, shop, folder)
                except StudioError as error:
                    failed += 1
                    print(f"quintet: {each.id}: {error}", file=sys.stderr)
                else:
                    write([there[one.id] for one in wanted if one.id in there], folder)
    except KeyboardInterrupt:
        print("\nquintet: interrupted. What is finished stays; the same command continues.", file=sys.stderr)
        return INTERRUPTED
    return FAILED if failed else 0


def _tell(label: str, event: Event) -> None:
    if isinstance(event, Finished):
        print(f"  {label}: {event.seconds:.1f} s", file=sys.stderr)
    elif isinstance(event, Failed):
        print(f"  {label}: {event.message} {event.advice}".rstrip(), file=sys.stderr)
