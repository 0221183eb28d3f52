"""A plan on its topology, and a frontier, drawn with characters. A record first, so that it can be checked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from offramp.words import percent, rate, seconds

if TYPE_CHECKING:
    from rich.console import Console

    from offramp.core.estimate import PricedPlan
    from offramp.core.planner import Requirement
    from offramp.core.topology import Topology

MOST_COLUMNS = 100
MOST_MEMBERS = 10
_BAR = 20
_PLAIN = str.maketrans("│○■─╮╯◀━", "|o#-++<=")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the drawing.

    tier: its name where the line is the first of a tier, else empty.
    link: what leads on to the next tier, on the line between the two; else empty.
    stop: whether samples stop here: 0 they arise, k partition k; None where they don't.
    text: what happens here.
    """

    tier: str = ""
    link: str = ""
    stop: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Hop:
    """The way from one stop to the next, between two rows of the drawing, on a lane of its own where it must be."""

    start: int
    end: int
    lane: int

    @property
    def rows(self) -> range:
        """The rows it passes, both ends included."""
        return range(min(self.start, self.end), max(self.start, self.end) + 1)


@dataclass(frozen=True, slots=True)
class Placement:
    """A plan on its topology: the tiers from the device down to the cloud, and the way of the samples along them."""

    rows: tuple[Row, ...]
    hops: tuple[Hop, ...]

    @classmethod
    def of(cls, topology: Topology, priced: PricedPlan) -> Placement:
        """The drawing of a plan on the topology that it was priced for."""
        rows = tuple(_rows(topology, priced))
        at = {row.stop: i for i, row in enumerate(rows) if row.stop is not None}
        stops = [at[stop] for stop in sorted(at)]
        hops: list[Hop] = []
        for start, end in itertools.pairwise(stops):
            # Lane 0 runs through the stops: it is for the way down to the very next of them.
            between = range(min(start, end) + 1, max(start, end))
            straight = start < end and not any(stop in between for stop in stops)
            lane = 0 if straight else 1
            while lane and any(hop.lane == lane and set(hop.rows) & {start, *between, end} for hop in hops):
                lane += 1
            hops.append(Hop(start, end, lane))
        return cls(rows, tuple(hops))

    def lines(self) -> list[str]:
        """The drawing, in box-drawing characters, cut off at `MOST_COLUMNS`."""
        left = max(len(row.tier or row.link) for row in self.rows) + 2
        lanes = 1 + 2 * max((hop.lane for hop in self.hops), default=0)
        drawn = []
        for i, row in enumerate(self.rows):
            cells = [" "] * lanes
            for hop in self.hops:
                if i in hop.rows:
                    _draw(cells, hop, i)
            if row.stop is not None:
                cells[0] = "■" if row.stop else "○"
            drawn.append(f"{row.tier or row.link:{left}}{''.join(cells)}  {row.text}"[:MOST_COLUMNS].rstrip())
        return drawn


def _draw(cells: list[str], hop: Hop, row: int) -> None:
    across = 2 * hop.lane
    if row not in (hop.start, hop.end):
        cells[across] = "│"
    elif across:
        for cell in range(1, across):
            cells[cell] = "─" if cells[cell] == " " else cells[cell]
        cells[across] = "╮" if row == min(hop.start, hop.end) else "╯"
        if row == hop.end:
            cells[1] = "◀"


def _rows(topology: Topology, priced: PricedPlan) -> Iterator[Row]:
    plan, predicted = priced.plan, priced.estimate
    last = len(plan.ends)
    blocks = [f"{first}-{end}" if end > first else str(first) for first, end in plan.blocks]
    thresholds = [*(f"T={threshold:g}" for threshold in plan.thresholds), ""]
    leaving = [percent(rate) for rate in predicted.exit_rates]
    widths = [max(map(len, column)) for column in (blocks, thresholds, leaving)]
    for j, tier in enumerate(topology.tiers):
        role = _role(topology, tier.name)
        here = [k for k, name in enumerate(plan.placement, 1) if name == tier.name]
        name = tier.name
        if tier.name == topology.source and plan.placement[0] != tier.name:
            yield Row(name, stop=0, text=role)
            name = role = ""
        elif not here:
            yield Row(name, text=role)
        for k in here:
            text = (
                f"{blocks[k - 1]:<{widths[0]}}  {thresholds[k - 1]:<{widths[1]}}  {leaving[k - 1]:>{widths[2]}} leave"
            )
            text += f" after {seconds(predicted.exit_latency_s[k - 1])}"
            text += f", {percent(predicted.stay_rates[k - 1])} go on" if k < last else ""
            yield Row(name, stop=k, text=f"{text}  ({role})" if role else text)
            name = role = ""
        if j < len(topology.links):
            link = topology.links[j]
            yield Row(link=f"│ {rate(link.bandwidth_bits_per_s)}, {seconds(link.latency_s)}")


def _role(topology: Topology, tier: str) -> str:
    source, destination = tier == topology.source, tier == topology.destination
    if source and destination:
        return "source, destination"
    return "source" if source else "destination" if destination else ""


def print_placement(console: Console, topology: Topology, priced: PricedPlan) -> None:
    """Draw where the plan runs, who leaves there and when, who goes on."""
    drawing = Placement.of(topology, priced)
    for row, line in zip(drawing.rows, drawing.lines(), strict=True):
        drawn = _encodable(console, line)
        style = "dim" if row.stop is None else None
        console.print(drawn, style=style, markup=False, highlight=False, soft_wrap=True)


def print_frontier(
    console: Console, members: Sequence[PricedPlan], shown: PricedPlan, wanted: Requirement, *, most: int = MOST_MEMBERS
) -> None:
    """Draw the frontier as bars of accuracy, fastest first, at most so many of its plans, `shown` among them."""
    from rich.table import Table

    picked = thinned(members, shown, most)
    hidden = len(members) - len(picked)
    more = f"; {hidden} of them not shown here, --json has all" if hidden else ""
    console.print(f"\nThe frontier: {len(members)} plans that no other beats in both{more}", highlight=False)
    least, best = members[0].estimate.accuracy, members[-1].estimate.accuracy
    table = Table(box=None, pad_edge=False, show_header=False)
    for justify in ("right", "right", "left", "left"):
        table.add_column(justify=justify, no_wrap=justify == "right")
    for each in picked:
        accuracy = each.estimate.accuracy
        reach = (accuracy - least) / (best - least) if best > least else 1.0
        bar = _encodable(console, "━" * max(1, round(_BAR * reach)))
        latency = seconds(wanted.latency.of(each.estimate))
        table.add_row(latency, percent(accuracy), bar, str(each.plan), style="bold" if each == shown else None)
    console.print(table, width=min(console.width, MOST_COLUMNS))


def thinned(members: Sequence[PricedPlan], shown: PricedPlan, most: int) -> list[PricedPlan]:
    """At most `most` members, evenly along the frontier, its ends and `shown` among them where it is a member."""
    if len(members) <= most:
        return list(members)
    picked = {round(i * (len(members) - 1) / (most - 1)) for i in range(most)}
    for at, each in enumerate(members):
        if each == shown and at not in picked:
            picked.discard(min(picked - {0, len(members) - 1}, key=lambda i: abs(i - at)))
            picked.add(at)
    return [members[i] for i in sorted(picked)]


def _encodable(console: Console, drawn: str) -> str:
    """The drawing as it is, or in plain ASCII where the encoding of the output knows no more."""
    try:
        drawn.encode(console.encoding)
    except UnicodeEncodeError:
        return drawn.translate(_PLAIN)
    return drawn
