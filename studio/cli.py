"""Make videos from the command line: the same requests as the page.

Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studio.commands import (
    BAD_INPUT,
    INTERRUPTED,
    SETTINGS_ARE_FLAGS,
    atlas,
    batch,
    bench,
    compare,
    generate,
    load,
    space,
    weights,
)
from studio.events import StudioError
from studio.settings import Parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    try:
        if not (sys.argv[1:] if argv is None else argv):
            _parser().print_help()
        arguments, rest = _parser().parse_known_args(argv)
        return arguments.run(arguments, rest)
    except (ValueError, StudioError) as error:
        print(f"quintet: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\nquintet: interrupted, nothing was written.", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    summary = (__doc__ or "").splitlines()[0]
    parser = Parser(prog="python -m studio", description=summary, epilog=SETTINGS_ARE_FLAGS)
    words = "generate | batch | compare | atlas | inspect | bench | list | serve | weights | space"
    commands = parser.add_subparsers(required=True, metavar=words)
    generate.add(commands)
    batch.add(commands)
    compare.add(commands)
    atlas.add(commands)
    _add_inspect(commands)
    bench.add(commands)
    commands.add_parser("list", help="methods, presets and their settings").set_defaults(run=_list)
    commands.add_parser("serve", help="open the page", epilog=SETTINGS_ARE_FLAGS).set_defaults(run=_serve)
    weights.add(commands)
    space.add(commands)
    return parser


def _add_inspect(commands: Any) -> None:
    inspect = commands.add_parser("inspect", help="what marks and settings a file carries", epilog=SETTINGS_ARE_FLAGS)
    inspect.add_argument("file", type=Path, metavar="FILE")
    inspect.add_argument("--clean-copy", type=Path, metavar="OUT.mp4", help="write it without settings; marks stay")
    inspect.set_defaults(run=_inspect)


def _list(arguments: argparse.Namespace, rest: list[str]) -> int:
    from models.method import request_fields

    _, presets = load(rest)
    for preset in presets.values():
        print(f"{preset.method.name} --preset {preset.name}: {preset.title}")
        for name, info in request_fields(preset.method.request).items():
            print(f"    {name}={getattr(preset.request, name)}  {info.help}")
    return 0


def _inspect(arguments: argparse.Namespace, rest: list[str]) -> int:
    from studio import provenance
    from studio.provenance.report import lines, summary
    from studio.settings import load_settings

    certificates = load_settings(rest).certificate_dir
    findings = provenance.inspect(arguments.file, certificates)
    print(summary(findings))
    for title, words, _ in lines(findings):
        print(f"{title}: {words}")
    if arguments.clean_copy:
        provenance.clean_copy(arguments.file, arguments.clean_copy, certificates)
    return 0


def _serve(arguments: argparse.Namespace, rest: list[str]) -> int:
    from studio.settings import load_settings
    from studio.ui.serve import serve

    serve(load_settings(rest))
    return 0
