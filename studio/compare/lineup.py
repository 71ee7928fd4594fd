"""A method's lineup as a plan: one request changed in a few ways, a video for each."""

from __future__ import annotations

from models.method import Lineup, Request
from studio.compare.brief import Brief
from studio.compare.cost import Costs
from studio.compare.matrix import Ready, Variant
from studio.compare.plan import Cell, Plan
from studio.events import request_values
from studio.presets import Preset, request_with


def lineup_plan(preset: Preset, lineup: Lineup, request: Request, ready: Ready, costs: Costs) -> Plan:
    """A row per member, in its order. ValueError when the request has no prompt."""
    prompt, seed = str(getattr(request, "prompt", "")), getattr(request, "seed", 0)
    cells = [_cell(row, label, preset, request, lineup, ready, costs) for row, label in enumerate(lineup.members)]
    return Plan(Brief(prompt, seeds=(seed,)), tuple(lineup.members), ("",), tuple(cells))


def _cell(
    row: int, label: str, preset: Preset, request: Request, lineup: Lineup, ready: Ready, costs: Costs
) -> Cell:  # fmt: skip
    variant, reason = Variant(preset), ready(preset)
    if reason:
        return Cell(row, 0, label, variant, None, reason)
    try:
        changed = request_with(request, lineup.members[label])
        preset.check(changed)
    except ValueError as error:
        return Cell(row, 0, label, variant, None, str(error))
    return Cell(row, 0, label, variant, changed, "", costs.of(preset.key, request_values(changed)))
