"""`python -m studio space --check | --push OWNER/NAME | --switches`: this checkout as a Space."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from models.method import REPOSITORY
from studio.commands import FAILED

MODES = "static, cpu (the default), zerogpu or gpu; docs/spaces.md compares them"


def add(commands: Any) -> None:
    space = commands.add_parser("space", help="check this checkout as a Space, or upload it")
    what = space.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="say what a Space would stumble over")
    what.add_argument("--push", metavar="OWNER/NAME", help="upload; the token is read from HF_TOKEN")
    what.add_argument("--switches", action="store_true", help="the table of settings in docs/spaces.md")
    space.add_argument("--no-trials", action="store_true", help="with --check: read only, start nothing")
    space.add_argument("--mode", default="cpu", metavar="MODE", help=MODES)
    space.add_argument("--variable", action="append", default=[], metavar="NAME=VALUE", help="set on the Space")
    space.add_argument("--bundle", type=Path, metavar="ZIP", help="what a static Space shows, in place of the atlas")
    space.add_argument("--private", action="store_true")
    space.set_defaults(run=run)


def run(arguments: argparse.Namespace, rest: list[str]) -> int:
    if rest:
        raise ValueError(f"{rest[0]!r} is not a flag of `space`.")
    if arguments.switches:
        from studio.space.switches import table

        print(table(), end="")
        return 0
    return _push(arguments) if arguments.push else _check(arguments)


def _check(arguments: argparse.Namespace) -> int:
    from studio.space.checks import check_space

    failed = 0
    for check in check_space(REPOSITORY, not arguments.no_trials):
        failed += not check.passed
        if check.passed:
            print(f"ok      {check.name}{f': {check.told}' if check.told else ''}", flush=True)
        for problem in check.problems:
            print(f"FAILED  {check.name}: {problem}.", flush=True)
    return FAILED if failed else 0


def _push(arguments: argparse.Namespace) -> int:
    from studio.space.checks import check_space
    from studio.space.modes import mode_named
    from studio.space.push import push

    mode = mode_named(arguments.mode)
    wrong = [check for check in check_space(REPOSITORY, trials=False) if not check.passed]
    if wrong:
        raise ValueError(f"{wrong[0].name}: {wrong[0].problems[0]}. `space --check` tells everything.")
    variables = dict(_pair(words) for words in arguments.variable)
    address = push(
        REPOSITORY, mode, arguments.push, variables=variables, bundle=arguments.bundle, private=arguments.private
    )
    print(address)
    return 0


def _pair(words: str) -> tuple[str, str]:
    name, equals, value = words.partition("=")
    if not equals or not name.isidentifier():
        raise ValueError(f"--variable wants NAME=VALUE, got {words!r}.")
    return name, value
