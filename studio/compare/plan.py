"""The cells of a comparison: two axes over methods, ideas, seeds or any field of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.method import Request, label_of, request_fields
from studio.compare.brief import Brief
from studio.compare.cost import Cost, Costs
from studio.compare.matrix import Ready, Variant
from studio.events import request_values
from studio.presets import parse_values

METHOD, SEED, NOTHING = "method", "seed", ""
MOST_CELLS = 24
UNVARIED = ("image",)  # kinds of field that cannot be typed as a list


@dataclass(frozen=True)
class Axis:
    """What changes from row to row or from column to column. `values` are variant keys, seeds or a field's values."""

    name: str
    values: tuple[Any, ...]

    def labels(self, known: Mapping[str, Variant]) -> list[str]:
        """Row or column headings."""
        if self.name == METHOD:
            return [known[value].label for value in self.values]
        word = self.name.replace("_", " ")
        return [f"{word} {_worded(value)}" for value in self.values] if self.name else [""]


ONE = Axis(NOTHING, (None,))


@dataclass(frozen=True)
class Cell:
    """One video to be made, or the reason why it cannot be. `row` and `column` count from 0."""

    row: int
    column: int
    label: str
    variant: Variant
    request: Request | None
    reason: str = ""
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True)
class Plan:
    """A grid of cells, row by row."""

    brief: Brief
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def possible(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.request is not None]

    def order(self) -> list[Cell]:
        """In which they run: cells that share weights follow each other, so that each set loads once."""
        places: dict[str, int] = {}
        for cell in self.possible:
            places.setdefault(cell.variant.preset.key, len(places))
        return sorted(self.possible, key=lambda cell: places[cell.variant.preset.key])

    @property
    def cost(self) -> Cost:
        """All cells that are known, one after another; see `unknown`."""
        costs = [cell.cost for cell in self.possible]
        seconds = [cost.seconds for cost in costs if cost.seconds is not None]
        memory = [cost.memory_mb for cost in costs if cost.memory_mb is not None]
        return Cost(sum(seconds) if seconds else None, max(memory, default=None))

    @property
    def unknown(self) -> int:
        """Cells of which nobody knows yet how long they take."""
        return sum(cell.cost.seconds is None for cell in self.possible)


def make_plan(
    brief: Brief, known: Mapping[str, Variant], rows: Axis, columns: Axis, chosen: str, ready: Ready, costs: Costs
) -> Plan:
    """The grid. `chosen` is the variant of the cells when no axis is over methods. ValueError says what cannot be."""
    if rows.name == columns.name and rows.name:
        raise ValueError("Rows and columns vary the same thing. Choose another for one of them.")
    if not rows.values or not columns.values:
        raise ValueError("Nothing is chosen. Tick at least one method.")
    if SEED not in (rows.name, columns.name) and len(brief.seeds) > 1:
        if columns.name:
            raise ValueError("Rows and columns are taken, so there is no room for several seeds. Type one seed.")
        columns = Axis(SEED, brief.seeds)
    count = len(rows.values) * len(columns.values)
    if count > MOST_CELLS:
        raise ValueError(f"This makes {count} videos; at most {MOST_CELLS} fit in a comparison. Vary fewer values.")
    row_labels, column_labels = rows.labels(known), columns.labels(known)
    cells = tuple(
        _cell(row, column, (rows, columns), (row_labels, column_labels), known, chosen, brief, ready, costs)
        for row in range(len(rows.values))
        for column in range(len(columns.values))
    )
    return Plan(brief, tuple(row_labels), tuple(column_labels), cells)


def parse_axis(name: str, words: str, known: Sequence[Variant]) -> Axis:
    """An axis from what a person typed: values between commas, or one per line. ValueError says what is wrong."""
    if name == NOTHING:
        return ONE
    parts = [part.strip() for part in (words.splitlines() if "\n" in words.strip() else words.split(","))]
    parts = list(dict.fromkeys(part for part in parts if part))
    if not parts:
        raise ValueError(f"There are no values for {name.replace('_', ' ')}. Type some, between commas.")
    owner = next((variant for variant in known if name in request_fields(variant.preset.method.request)), None)
    if owner is None:
        raise ValueError(f"None of the chosen methods has a field {name!r:.60}.")
    if request_fields(owner.preset.method.request)[name].kind in UNVARIED:
        raise ValueError(f"{name.replace('_', ' ').capitalize()} cannot be varied by a list.")
    values = [parse_values(owner.preset.method.request, [f"{name}={part}"])[name] for part in parts]
    return Axis(name, tuple(values))


def axis_fields(known: Sequence[Variant]) -> dict[str, str]:
    """Field -> label of everything that an axis can vary in these methods."""
    found: dict[str, str] = {}
    for variant in known:
        for name, info in request_fields(variant.preset.method.request).items():
            if info.kind not in UNVARIED:
                found.setdefault(name, label_of(name, info))
    return found


def _cell(
    row: int, column: int, axes: tuple[Axis, Axis], labels: tuple[list[str], list[str]], known: Mapping[str, Variant],
    chosen: str, brief: Brief, ready: Ready, costs: Costs,
) -> Cell:  # fmt: skip
    variant, changes = known[chosen], {}
    for axis, index in zip(axes, (row, column), strict=True):
        if axis.name == METHOD:
            variant = known[axis.values[index]]
        elif axis.name:
            changes[axis.name] = axis.values[index]
    label = " · ".join(filter(None, (labels[0][row], labels[1][column])))
    label = label if METHOD in (axes[0].name, axes[1].name) else f"{variant.label} · {label}".removesuffix(" · ")
    reason = ready(variant.preset) or _unknown_field(variant, changes)
    request = None
    if not reason:
        try:
            request = variant.request(brief, changes)
        except ValueError as error:
            reason = str(error)
    cost = costs.of(variant.preset.key, request_values(request)) if request is not None else Cost()
    return Cell(row, column, label, variant, request, reason, cost)


def _unknown_field(variant: Variant, changes: Mapping[str, Any]) -> str:
    unknown = [name for name in changes if name not in request_fields(variant.preset.method.request)]
    return f"{variant.preset.method.title} has no {unknown[0].replace('_', ' ')}." if unknown else ""


def _worded(value: Any) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
