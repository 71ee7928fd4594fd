"""Make videos from the command line: the same requests as the page.

Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.events import Event, Failed, Finished, JobSpec, Loading, Progress, Started, StudioError
from studio.settings import Parser

if TYPE_CHECKING:
    from studio.presets import Preset
    from studio.settings import StudioSettings

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    try:
        arguments, rest = _parser().parse_known_args(argv)
        return arguments.run(arguments, rest)
    except (ValueError, StudioError) as error:
        print(f"quintet: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\nquintet: interrupted, nothing was written.", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    settings = "Every setting of the studio is a flag too, for example --device cpu."
    parser = Parser(prog="python -m studio", description=(__doc__ or "").splitlines()[0], epilog=settings)
    commands = parser.add_subparsers(required=True, metavar="generate | list | serve | inspect | weights")
    generate = commands.add_parser("generate", help="make a video", epilog=settings)
    generate.add_argument("method", metavar="METHOD", help="a name from `list`")
    generate.add_argument("--preset", metavar="NAME", help="the method's first preset by default")
    generate.add_argument("--set", metavar="KEY=VALUE", nargs="+", action="extend", default=[], dest="values")
    generate.add_argument("--seed", type=int, metavar="N")
    generate.add_argument("--output", type=Path, required=True, metavar="OUT.mp4")
    generate.set_defaults(run=_generate)
    listing = commands.add_parser("list", help="methods, presets and their settings")
    listing.set_defaults(run=_list)
    serve = commands.add_parser("serve", help="open the page", epilog=settings)
    serve.set_defaults(run=_serve)
    inspect = commands.add_parser("inspect", help="what marks and settings a file carries", epilog=settings)
    inspect.add_argument("file", type=Path, metavar="FILE")
    inspect.add_argument("--clean-copy", type=Path, metavar="OUT.mp4", help="write it without settings; marks stay")
    inspect.set_defaults(run=_inspect)
    weights = commands.add_parser("weights", help="what full weights need; fetch, check and free them")
    _add_weights(weights.add_subparsers(required=True, metavar="list | get | verify | free"), settings)
    return parser


def _add_weights(commands: Any, settings: str) -> None:
    listing = commands.add_parser("list", help="each preset: what it needs, from where, how large, under which terms")
    listing.set_defaults(run=_weights, what="list")
    for name, words in (("get", "fetch and convert"), ("verify", "compare checksums"), ("free", "remove")):
        command = commands.add_parser(name, help=f"{words} the weights of a preset", epilog=settings)
        command.add_argument("preset", metavar="METHOD/PRESET", help="a name from `weights list`")
        command.set_defaults(run=_weights, what=name)
        if name == "get":
            command.add_argument("--accept-licence", action="store_true", help="agree to the terms without a question")
            command.add_argument("--from", type=Path, metavar="FOLDER", dest="by_hand", help="files from a browser")
        elif name == "verify":
            command.add_argument("--remove-damaged", action="store_true", help="so that `get` fetches them again")
        else:
            command.add_argument("--originals", action="store_true", help="only published files already converted")


def _generate(arguments: argparse.Namespace, rest: list[str]) -> int:
    from studio.executors import make_executor
    from studio.presets import parse_values, preset_for, request_with

    settings, presets = _load(["--executor", "inline", *rest])
    preset = preset_for(arguments.method, arguments.preset, presets)
    values = parse_values(preset.method.request, arguments.values)
    if arguments.seed is not None:
        values["seed"] = arguments.seed
    request = request_with(preset.request, values)
    preset.check(request)
    if arguments.output.suffix.lower() != ".mp4":
        raise ValueError(f"--output must end in .mp4, got {arguments.output.name!r}.")
    spec = JobSpec(secrets.token_urlsafe(16), preset.key, preset.method.name, request, preset.recipe, arguments.output)
    executor = make_executor(settings)
    printer = Printer()
    try:
        executor.run(spec, printer.show, lambda: False)
    finally:
        executor.close()
    return printer.exit_code


def _list(arguments: argparse.Namespace, rest: list[str]) -> int:
    from models.method import request_fields

    _, presets = _load(rest)
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


def _weights(arguments: argparse.Namespace, rest: list[str]) -> int:
    from studio.weights import command
    from studio.weights.library import Library

    settings, presets = _load(rest)
    library = Library(settings.cache_dir)
    if arguments.what == "list":
        return command.list_weights(library, presets)
    preset = command.find_preset(arguments.preset, presets)
    if arguments.what == "get":
        return command.get_weights(library, preset, arguments.accept_licence, arguments.by_hand)
    if arguments.what == "verify":
        return command.verify_weights(library, preset, arguments.remove_damaged)
    return command.free_weights(library, preset, presets, arguments.originals)


def _load(argv: list[str]) -> tuple[StudioSettings, dict[str, Preset]]:
    from studio.presets import load_presets
    from studio.settings import load_settings

    settings = load_settings(argv)
    return settings, load_presets(settings.preset_dir, settings.method_packages)


class Printer:
    """Progress on stderr, the files' names on stdout."""

    def __init__(self) -> None:
        self.exit_code = FAILED
        self._live = sys.stderr.isatty()  # one line that changes, or a line per event in a log

    def show(self, event: Event) -> None:
        if isinstance(event, Finished):
            self._line("")
            print(*event.paths, sep="\n")
            print(f"{event.seconds:.1f} s", file=sys.stderr)
            self.exit_code = 0
        elif isinstance(event, Failed):
            self._line("")
            print(f"quintet: {event.message} {event.advice}".rstrip(), file=sys.stderr)
            self.exit_code = BAD_INPUT if event.bad_input else FAILED
        elif isinstance(event, Loading):
            of = f" {event.done_bytes >> 20} of {event.total_bytes >> 20} MB" if event.total_bytes else ""
            self._line(f"loading {event.stage}{of}")
        elif isinstance(event, Progress):
            count = f" {event.index}/{event.total}" if event.stage == "denoise" else ""
            left = f", {event.seconds_left:.0f} s left" if event.seconds_left is not None else ""
            self._line(f"{event.stage}{count}{left}")
        elif not isinstance(event, Started):
            self._line(type(event).__name__.lower())

    def _line(self, words: str) -> None:
        if self._live:
            print(f"\r\033[K{words}", end="", file=sys.stderr, flush=True)
        elif words:
            print(words, file=sys.stderr)
