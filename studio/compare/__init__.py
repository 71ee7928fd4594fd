"""Comparisons: one brief for every method, ideas on and off, grids over any field; makes jobs, owns no thread.

brief -> variants and what each can take -> plan of cells with their cost -> jobs, in an order that loads weights once.
"""

from studio.compare.brief import Brief, Role
from studio.compare.cost import Cost, Costs
from studio.compare.lineup import lineup_plan
from studio.compare.matrix import Fit, Variant, fits, pair, variants, weights_here
from studio.compare.numbers import Numbers
from studio.compare.plan import METHOD, ONE, Axis, Cell, Plan, axis_fields, make_plan, parse_axis
from studio.compare.record import CellState, Comparison, Comparisons
from studio.compare.votes import Tally, Votes

__all__ = [
    "METHOD", "ONE", "Axis", "Brief", "Cell", "CellState", "Comparison", "Comparisons", "Cost", "Costs", "Fit",
    "Numbers", "Plan", "Role", "Tally", "Variant", "Votes", "axis_fields", "fits", "lineup_plan", "make_plan", "pair",
    "parse_axis", "variants", "weights_here",
]  # fmt: skip
