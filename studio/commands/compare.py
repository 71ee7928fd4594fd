"""`python -m studio compare --prompt WORDS --output OUT.zip`: one brief, several methods, one bundle with a page."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.commands import FAILED, SETTINGS_ARE_FLAGS, load
from studio.commands.printer import Printer
from studio.events import TERMINAL, Failed, request_values
from studio.presets import Preset
from studio.settings import StudioSettings

if TYPE_CHECKING:
    from studio.compare import Comparison, Comparisons, Plan
    from studio.compare.numbers import ClipScores
    from studio.history import History
    from studio.jobs import JobQueue

OWNER = "command line"


def add(commands: Any) -> None:
    compare = commands.add_parser(
        "compare", help="one brief for several methods, saved as a bundle", epilog=SETTINGS_ARE_FLAGS
    )
    compare.add_argument("--prompt", required=True)
    compare.add_argument("--negative-prompt", default="", metavar="WORDS")
    keys = "repvideo/pocket, or repvideo/pocket:feature_cache with that idea off; all that can by default"
    compare.add_argument("--methods", nargs="+", default=[], metavar="KEY", help=keys)
    compare.add_argument("--seeds", nargs="+", type=int, default=[42], metavar="N")
    compare.add_argument("--person", type=Path, metavar="PICTURE")
    compare.add_argument("--subject", type=Path, metavar="PICTURE")
    compare.add_argument("--cameras", default="", metavar="PATHS")
    vary = "vary a field instead, for example num_inference_steps=4,8,25"
    compare.add_argument("--columns", default="", metavar="FIELD=VALUES", help=vary)
    compare.add_argument("--no-metrics", action="store_true", help="do not measure the clips")
    compare.add_argument("--dry-run", action="store_true", help="say what would be made, make nothing")
    compare.add_argument("--output", type=Path, metavar="OUT.zip")
    compare.set_defaults(run=run)


def run(arguments: argparse.Namespace, rest: list[str]) -> int:
    from studio.compare import Comparisons
    from studio.executors import make_executor
    from studio.history import History
    from studio.jobs import JobQueue

    settings, presets = load(["--executor", "inline", *rest])
    if arguments.output is None and not arguments.dry_run:
        raise ValueError("There is no --output. Name the zip to write, for example --output both.zip.")
    if arguments.output is not None and arguments.output.suffix.lower() != ".zip":
        raise ValueError(f"--output must end in .zip, got {arguments.output.name!r}.")
    with tempfile.TemporaryDirectory(prefix="quintet-compare-") as place:
        folder = Path(place)
        history = History(folder / "history.sqlite")  # the studio's own may be in use
        plan = _plan(arguments, presets, history)
        if arguments.dry_run:
            history.close()
            return _show(plan)
        settings = dataclasses.replace(settings, output_dir=folder)
        jobs = JobQueue(make_executor(settings), history, len(plan.cells))
        made = Comparisons(folder / "comparisons", jobs, history, presets)
        try:
            return _make(plan, made, jobs, settings, arguments)
        finally:
            jobs.close()
            history.close()


def _plan(arguments: argparse.Namespace, presets: Mapping[str, Preset], history: History) -> Plan:
    from studio.compare import Brief, Costs, variants
    from studio.compare.by_name import plan_by_name, whole_fits

    brief = Brief(
        arguments.prompt, arguments.negative_prompt, tuple(dict.fromkeys(arguments.seeds)), arguments.person,
        arguments.subject, arguments.cameras,
    )  # fmt: skip
    known = variants(presets.values())
    field, equals, values = arguments.columns.partition("=")
    if arguments.columns and not equals:
        raise ValueError(f"--columns must have the form FIELD=VALUES, got {arguments.columns!r}.")
    if not arguments.methods:
        for key, fit in whole_fits(known, brief).items():
            if not fit.possible:
                print(f"left out: {key}: {fit.reason}", file=sys.stderr)
    return plan_by_name(known, brief, arguments.methods, field, values, Costs(history))


def _show(plan: Plan) -> int:
    for cell in plan.cells:
        if cell.request is None:
            print(f"{cell.label}: cannot be made. {cell.reason}")
        else:
            told = "  ".join(f"{name}={value}" for name, value in request_values(cell.request).items())
            print(f"{cell.label}: {told}")
    return 0 if plan.possible else FAILED


def _make(
    plan: Plan, made: Comparisons, jobs: JobQueue, settings: StudioSettings, arguments: argparse.Namespace
) -> int:
    from studio.compare import bundle
    from studio.compare.numbers import asked_of, measure_files, written
    from studio.ui import offline

    comparison = made.start(plan, OWNER)
    _follow(comparison, jobs)
    states = made.states(comparison, OWNER)
    measured: dict[str, list[ClipScores] | None] = {}
    if not arguments.no_metrics:
        asked = {state.member.label: asked_of(state, made.presets) for state in states}
        measured = {label: measure_files(clips) for label, clips in asked.items() if clips}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    scores = {index: measured.get(state.member.label) for index, state in enumerate(states)}
    pictures = {name: path for name in ("person", "subject") if (path := getattr(arguments, name))}
    page = offline.page(comparison, states, made.presets, scores, pictures)
    bundle.write(comparison, states, page, arguments.output, written(measured), pictures, settings.certificate_dir)
    _print_numbers(measured)
    print(arguments.output)
    return 0 if all(state.state == "finished" for state in states) else FAILED


def _follow(comparison: Comparison, jobs: JobQueue) -> None:
    labels = {member.job: member.label for member in comparison.members}
    for member in comparison.members:
        if not member.job:
            print(f"{member.label}: cannot be made. {member.reason}", file=sys.stderr)
    for job in jobs.jobs(OWNER):  # in the order in which they run
        printer = Printer()
        print(f"{labels[job.id]} …", file=sys.stderr)
        for event in job.events():
            if isinstance(event, Failed) or not isinstance(event, TERMINAL):
                printer.show(event)


def _print_numbers(measured: Mapping[str, list[ClipScores] | None]) -> None:
    """A line per clip and metric that has a number."""
    from studio.metrics import METRICS

    for label, clips in measured.items():
        for number, clip in enumerate(clips or [], start=1):
            name = f"{label} · {number}" if len(clips or []) > 1 else label
            scores = [score for score in clip.values() if score.value is not None]
            told = "  ".join(f"{METRICS[score.metric].title} {score.value:.4g}" for score in scores)
            print(f"{name}: {told}")
