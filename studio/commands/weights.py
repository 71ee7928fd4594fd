"""`python -m studio weights list | get | verify | free`: words for `studio/weights/command.py`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from studio.commands import SETTINGS_ARE_FLAGS, load


def add(commands: Any) -> None:
    weights = commands.add_parser("weights", help="what full weights need; fetch, check and free them")
    kinds = weights.add_subparsers(required=True, metavar="list | get | verify | free")
    listing = kinds.add_parser("list", help="each preset: what it needs, from where, how large, under which terms")
    listing.set_defaults(run=run, what="list")
    for name, words in (("get", "fetch and convert"), ("verify", "compare checksums"), ("free", "remove")):
        command = kinds.add_parser(name, help=f"{words} the weights of a preset", epilog=SETTINGS_ARE_FLAGS)
        command.add_argument("preset", metavar="METHOD/PRESET", help="a name from `weights list`")
        command.set_defaults(run=run, what=name)
        if name == "get":
            command.add_argument("--accept-licence", action="store_true", help="agree to the terms without a question")
            command.add_argument("--from", type=Path, metavar="FOLDER", dest="by_hand", help="files from a browser")
        elif name == "verify":
            command.add_argument("--remove-damaged", action="store_true", help="so that `get` fetches them again")
        else:
            command.add_argument("--originals", action="store_true", help="only published files already converted")


def run(arguments: argparse.Namespace, rest: list[str]) -> int:
    from studio.weights import command
    from studio.weights.library import Library

    settings, presets = load(rest)
    library = Library(settings.cache_dir)
    if arguments.what == "list":
        return command.list_weights(library, presets)
    preset = command.find_preset(arguments.preset, presets)
    if arguments.what == "get":
        return command.get_weights(library, preset, arguments.accept_licence, arguments.by_hand)
    if arguments.what == "verify":
        return command.verify_weights(library, preset, arguments.remove_damaged)
    return command.free_weights(library, preset, presets, arguments.originals)
