"""A plan on its topology, and a frontier, drawn with characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from offramp.view.placement import Hop, PlacedPartition, Placement, PlacementRow
from offramp.view.text import cost_words, percent, rate, seconds

if TYPE_CHECKING:
    from rich.console import Console

    from offramp.core.estimate import EstimatedPlan
    from offramp.core.requirement import Requirement
    from offramp.core.topology import Topology

MOST_COLUMNS = 100
MOST_MEMBERS = 10
_BAR = 20
_PLAIN = str.maketrans("│○■─╮╯◀━", "|o#-++<=")


def lines(placement: Placement) -> list[str]:
    """The drawing of a plan, a line for each row, in box-drawing characters, cut off at `MOST_COLUMNS`."""
    partitions = [row.partition for row in placement.rows if row.partition]
    blocks = max(len(partition.blocks) for partition in partitions)
    thresholds = max(len(_threshold(partition)) for partition in partitions)
    shares = max(len(percent(partition.exit_rate)) for partition in partitions)
    names = [_name(row) for row in placement.rows]
    left = max(map(len, names)) + 2
    lanes = 1 + 2 * max((hop.lane for hop in placement.hops), default=0)
    drawn = []
    for i, (name, row) in enumerate(zip(names, placement.rows, strict=True)):
        cells = [" "] * lanes
        for hop in placement.hops:
            if i in hop.rows:
                _draw(cells, hop, i)
        text = row.role
        if row.partition:
            text = f"{row.partition.blocks:<{blocks}}  {_threshold(row.partition):<{thresholds}}  "
            text += " " * (shares - len(percent(row.partition.exit_rate))) + row.partition.exiting
            text += f", {row.partition.continuing}" if row.partition.continuing else ""
            text += f" ({row.role})" if row.role else ""
        if row.active:
            cells[0] = "■" if row.partition else "○"
        drawn.append(f"{name:{left}}{''.join(cells)}  {text}"[:MOST_COLUMNS].rstrip())
    return drawn


def _name(row: PlacementRow) -> str:
    if row.link is None:
        return "" if row.tier is None else row.tier.name
    return f"│ {rate(row.link.bandwidth_bits_per_s)}, {seconds(row.link.latency_s)}"


def _threshold(partition: PlacedPartition) -> str:
    return "" if partition.threshold is None else f"T={partition.threshold:g}"


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


def print_placement(console: Console, topology: Topology, estimated: EstimatedPlan) -> None:
    """Draw where the plan runs, and how many samples exit there and when."""
    drawing = Placement.of(topology, estimated)
    for row, line in zip(drawing.rows, lines(drawing), strict=True):
        drawn = _encodable(console, line)
        style = None if row.active else "dim"
        console.print(drawn, style=style, markup=False, highlight=False, soft_wrap=True)


def print_frontier(
    console: Console,
    members: Sequence[EstimatedPlan],
    shown: EstimatedPlan,
    wanted: Requirement,
    *,
    most: int = MOST_MEMBERS,
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
        table.add_row(
            cost_words(wanted, each.estimate),
            percent(accuracy),
            bar,
            str(each.plan),
            style="bold" if each == shown else None,
        )
    console.print(table, width=min(console.width, MOST_COLUMNS))


def thinned(members: Sequence[EstimatedPlan], shown: EstimatedPlan, most: int) -> list[EstimatedPlan]:
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
