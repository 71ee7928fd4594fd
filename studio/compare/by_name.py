"""A plan from words, as the command line and the API are given them: keys of methods, and a field to vary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from studio.compare.brief import Brief
from studio.compare.cost import Costs
from studio.compare.matrix import Fit, Variant, fits, weights_here
from studio.compare.plan import METHOD, ONE, Axis, Plan, make_plan, parse_axis
from studio.presets import did_you_mean


def whole_fits(known: Mapping[str, Variant], brief: Brief) -> dict[str, Fit]:
    """How every method, all its ideas on, takes the brief."""
    return fits((variant for variant in known.values() if not variant.ablation), brief, weights_here)


def plan_by_name(
    known: Mapping[str, Variant], brief: Brief, keys: Iterable[str], field: str, values: str, costs: Costs
) -> Plan:
    """A row for each of `keys`; columns over the brief's seeds, or over the `values` of a `field` if one is named.

    Without keys every method that can take the brief. ValueError says what is unknown or cannot be.
    """
    chosen = list(dict.fromkeys(keys)) or [key for key, fit in whole_fits(known, brief).items() if fit.possible]
    for key in chosen:
        if key not in known:
            raise ValueError(f"There is no method {key!r:.60}. {did_you_mean(key, known)}")
    if not chosen:
        raise ValueError("No method can take this brief.")
    columns = parse_axis(field, values, [known[key] for key in chosen]) if field else ONE
    return make_plan(brief, known, Axis(METHOD, tuple(chosen)), columns, chosen[0], weights_here, costs)
