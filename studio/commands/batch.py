"""`python -m studio batch LIST.yaml`: many videos, one after another; the same command continues what was stopped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from studio.batch import Batch, Entry, read_batch
from studio.commands import BAD_INPUT, FAILED, INTERRUPTED, SETTINGS_ARE_FLAGS, load
from studio.commands.printer import Printer
from studio.settings import StudioSettings


def add(commands: Any) -> None:
    batch = commands.add_parser("batch", help="make the videos of a YAML list", epilog=SETTINGS_ARE_FLAGS)
    batch.add_argument("file", type=Path, metavar="LIST.yaml", help="docs/cli.md shows one")
    batch.add_argument("--folder", type=Path, metavar="FOLDER", help="for the videos; named after the list by default")
    batch.add_argument(
        "--dry-run", action="store_true", help="check every entry, say what would be made, make nothing"
    )
    batch.set_defaults(run=run)


def run(arguments: argparse.Namespace, rest: list[str]) -> int:
    settings, presets = load(["--executor", "inline", *rest])
    batch = read_batch(arguments.file, presets, arguments.folder or arguments.file.with_suffix(""))
    for problem in batch.problems:
        print(f"quintet: {problem}", file=sys.stderr)
    if arguments.dry_run:
        for entry in batch.entries:
            print(_told(entry))
    if batch.problems:
        print(f"quintet: {len(batch.problems)} entries cannot be made; nothing was made.", file=sys.stderr)
        return BAD_INPUT
    return 0 if arguments.dry_run else _make(batch, settings)


def _make(batch: Batch, settings: StudioSettings) -> int:
    """Make what is not there yet; a failed one does not stop the others."""
    from studio.executors import make_executor

    missing = [entry for entry in batch.entries if not entry.made]
    print(f"{len(batch.entries) - len(missing)} there already, {len(missing)} to make", file=sys.stderr)
    executor = make_executor(settings)
    failed = 0
    try:
        for entry in missing:
            print(_told(entry), file=sys.stderr)
            printer = Printer()
            executor.run(entry.spec, printer.show, lambda: False)
            failed += printer.exit_code != 0
    except KeyboardInterrupt:
        print("\nquintet: interrupted. What is finished stays; the same command continues.", file=sys.stderr)
        return INTERRUPTED
    finally:
        executor.close()
    if failed:
        print(f"quintet: {failed} of {len(missing)} failed; the same command tries them again.", file=sys.stderr)
    return FAILED if failed else 0


def _told(entry: Entry) -> str:
    """'3  cube.mp4  repvideo/pocket  prompt=a red cube  seed=7'."""
    given = dict(entry.given)
    if "seed" not in given and (seed := getattr(entry.spec.request, "seed", None)) is not None:
        given["seed"] = seed
    words = [f"{name}={value}" for name, value in given.items()]
    there = ["(there already)"] if entry.made else []
    return "  ".join([str(entry.number), str(entry.output), entry.spec.preset, *words, *there])
