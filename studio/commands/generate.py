"""`python -m studio generate METHOD --output OUT.mp4`: one video."""

from __future__ import annotations

import argparse
import secrets
from pathlib import Path
from typing import Any

from studio.commands import SETTINGS_ARE_FLAGS, load
from studio.commands.printer import Printer
from studio.events import JobSpec


def add(commands: Any) -> None:
    generate = commands.add_parser("generate", help="make a video", epilog=SETTINGS_ARE_FLAGS)
    generate.add_argument("method", metavar="METHOD", help="a name from `list`")
    generate.add_argument("--preset", metavar="NAME", help="the method's first preset by default")
    generate.add_argument("--set", metavar="KEY=VALUE", nargs="+", action="extend", default=[], dest="values")
    generate.add_argument("--seed", type=int, metavar="N")
    generate.add_argument("--output", type=Path, required=True, metavar="OUT.mp4")
    generate.set_defaults(run=run)


def run(arguments: argparse.Namespace, rest: list[str]) -> int:
    from studio.executors import make_executor
    from studio.presets import parse_values, preset_for, request_with

    settings, presets = load(["--executor", "inline", *rest])
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
