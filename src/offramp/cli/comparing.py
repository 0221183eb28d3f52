"""`offramp compare`: what published systems would choose, beside Offramp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.options import ExitsOption, JsonOption, ProfileArgument, TopologyOption
from offramp.view.text import requirement_words

if TYPE_CHECKING:
    from offramp.core.baselines import Row
    from offramp.core.planner import Planner, Requirement


def compare(
    profile: ProfileArgument,
    topology: TopologyOption = "mobile",
    min_accuracy: Annotated[
        float | None, typer.Option(help="Floor on accuracy, 0 to 1: the fastest plan wins.")
    ] = None,
    max_latency: Annotated[
        str | None, typer.Option(help="Limit on mean latency, e.g. 300ms: the most accurate plan wins.")
    ] = None,
    exits_per_tier: Annotated[int, typer.Option(min=1, help="Most exits on a tier, for Offramp.")] = 1,
    exit_model: ExitsOption = None,
    json: JsonOption = False,
) -> None:
    """Compare with published systems: each chooses by its own model, all are judged by Offramp's.

    Without a requirement: within one point of the best reachable accuracy.

    Example: offramp compare resnet20-digits --topology mobile --min-accuracy 0.92
    """
    from offramp.core import baselines
    from offramp.core.exits import ExitModelName
    from offramp.core.planner import Options, Planner, Requirement
    from offramp.files import read_profile, read_topology
    from offramp.files.quantities import TIME
    from offramp.pipeline.solve import default_requirement

    measured = read_profile(profile)
    name = None if exit_model is None else ExitModelName(exit_model.value)
    planner = Planner.of(measured, read_topology(topology), exits=name, options=Options(exits_per_tier))
    if min_accuracy is None and max_latency is None:
        wanted = default_requirement(planner.frontier())
    else:
        wanted = Requirement(min_accuracy, None if max_latency is None else TIME.parse(max_latency))
    rows = baselines.compare(measured, planner, wanted)
    if json:
        from offramp.cli.output import print_json

        print_json(
            {
                "requirement": {"min_accuracy": wanted.min_accuracy, "max_latency_s": wanted.max_latency_s},
                "exit_model": planner.exits.name.value,
                "rows": [row_document(row) for row in rows],
            }
        )
    else:
        _print_rows(rows, asked=requirement_words(wanted), judge=planner.exits.name.value)
        _print_drawings(planner, wanted)


def row_document(row: Row) -> dict[str, Any]:
    """One row as `--json` prints it."""
    return {
        "system": row.system,
        "plan": row.plan,
        "accuracy": row.estimate.accuracy,
        "latency_s": row.latency_s,
        "gain": row.gain,
        "meets": row.meets,
        "ignores": row.ignores,
        "note": row.note,
    }


def _print_rows(rows: Sequence[Row], *, asked: str, judge: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from offramp.view.text import percent, seconds

    console = Console()
    console.print(
        f"Asked for an {asked}. Each system chose by its own model; the {judge} exit model judged.", highlight=False
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("system", no_wrap=True)
    table.add_column("latency", justify="right", no_wrap=True)
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column("meets")
    table.add_column("Offramp is", justify="right", no_wrap=True)
    table.add_column("plan")
    for row in rows:
        note = f" [dim]({row.note})[/]" if row.note else ""
        table.add_row(
            row.system,
            seconds(row.latency_s),
            percent(row.estimate.accuracy),
            "yes" if row.meets else "[red]no[/]",
            "" if row is rows[-1] else _gain(row.gain),
            escape(row.plan) + note,
            style="bold" if row is rows[-1] else None,
        )
    console.print(table)
    console.print(
        '"Offramp is": at an accuracy no lower than the row\'s; "-" where it has no plan so accurate.', style="dim"
    )


def _print_drawings(planner: Planner, wanted: Requirement) -> None:
    from rich.console import Console

    from offramp.cli.drawing import print_frontier, print_placement
    from offramp.core.planner import choose

    members = planner.frontier(wanted.latency)
    answer = choose(members, wanted)
    ours = answer.best or answer.nearest
    if ours is not None:
        console = Console()
        console.print("\nOfframp's plan:", highlight=False)
        print_placement(console, planner.topology, ours)
        print_frontier(console, members, ours, wanted, most=6)


def _gain(gain: float | None) -> str:
    if gain is None:
        return "-"
    return f"{abs(100 * gain):.1f} % {'faster' if gain >= 0 else 'slower'}"
