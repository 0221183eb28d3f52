"""The regime map of a grid: which cuts and places win where, as a record that can be drawn."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from offramp.core.plan import Plan
    from offramp.core.topology import Topology
    from offramp.sweeps.grid import Grid, Parameter
    from offramp.sweeps.many import PlannedTopology

# The cell where no plan meets the requirement.
UNMET = -1
_UNITS = {"bandwidth_bits_per_s": "b/s", "latency_s": "s", "slowdown": ""}


@dataclass(frozen=True, slots=True)
class Axis:
    """One varied parameter.

    label: what it is, in words.
    values: [n] in `unit`, ascending.
    log: whether ratios are what counts, not differences.
    """

    label: str
    unit: str
    values: tuple[float, ...]
    log: bool

    @property
    def edges(self) -> tuple[float, ...]:
        """[n+1] where the cells of the values begin and end: halfway between neighbors, as the axis counts."""
        places = [math.log(value) if self.log else value for value in self.values]
        halfway = [(a + b) / 2 for a, b in itertools.pairwise(places)]
        first = 2 * places[0] - halfway[0] if halfway else places[0] - 0.5
        last = 2 * places[-1] - halfway[-1] if halfway else places[-1] + 0.5
        return tuple(math.exp(place) if self.log else place for place in (first, *halfway, last))


@dataclass(frozen=True, slots=True)
class RegimeMap:
    """Which partitioning and placement is optimal where.

    x, y: the axes; y is None where one parameter was varied.
    regimes: the winners as text, `1-3@phone 4-10@cloud`, the one with most cells first.
    cells: [Y][X] which regime wins, as a position in `regimes`, or `UNMET`; Y is 1 without a y axis.
    """

    title: str
    x: Axis
    y: Axis | None
    regimes: tuple[str, ...]
    cells: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, grid: Grid, rows: Iterable[PlannedTopology], *, title: str) -> RegimeMap:
        """The map of the rows of a grid of one or two parameters, the first along x, the second along y."""
        x, *more = (_axis(grid.topology, parameter, values) for parameter, values in grid.axes)
        winners: dict[tuple[float, ...], str | None] = {
            tuple(row.varied.values.values()): regime(row.estimated.plan) if row.estimated and row.meets else None
            for row in rows
        }
        ranked = tuple(text for text, _ in Counter(text for text in winners.values() if text).most_common())
        number = {text: i for i, text in enumerate(ranked)}
        y = more[0] if more else None
        along_y: Sequence[tuple[float, ...]] = [()] if y is None else [(value,) for value in y.values]
        cells = tuple(tuple(number.get(winners[(value, *rest)] or "", UNMET) for value in x.values) for rest in along_y)
        return cls(title, x, y, ranked, cells)

    def count(self, number: int) -> int:
        """How many cells that regime wins; with `UNMET`, how many none wins."""
        return sum(row.count(number) for row in self.cells)


def regime(plan: Plan) -> str:
    """A plan's partitioning and placement, without its thresholds, as text."""
    return " ".join(word for word in str(plan).split() if not word.startswith("T="))


def _axis(topology: Topology, parameter: Parameter, values: Sequence[float]) -> Axis:
    where = topology.tiers[parameter.index].name
    if parameter.part == "links":
        where = f"{where} to {topology.tiers[parameter.index + 1].name}"
    ordered = tuple(sorted(values))
    return Axis(
        label=f"{parameter.path.rpartition('.')[2]} of {parameter.path.rpartition('.')[0]}, {where}",
        unit=_UNITS[parameter.attribute],
        values=ordered,
        log=len(ordered) > 1 and ordered[0] > 0 and ordered[-1] >= 10 * ordered[0],
    )
