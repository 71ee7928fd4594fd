"""Comparisons: one brief for every method, ideas on and off, grids over any field; makes jobs, owns no thread.

brief -> variants and what each can take -> plan of cells with their cost -> jobs, in an order that loads weights once.
"""

from studio.compare.brief import Brief, Role
from studio.compare.cost import Cost, Costs
from studio.compare.matrix import Fit, Variant, fits, variants
from studio.compare.plan import Axis, Cell, Plan, make_plan
from studio.compare.record import CellState, Comparison, Comparisons
from studio.compare.votes import Tally, Votes

__all__ = [
    "Axis", "Brief", "Cell", "CellState", "Comparison", "Comparisons", "Cost", "Costs", "Fit", "Plan", "Role", "Tally",
    "Variant", "Votes", "fits", "make_plan", "variants",
]  # fmt: skip
