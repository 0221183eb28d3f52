"""`offramp compare`: what published systems would choose, beside Offramp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offramp.cli.options import (
    JsonOption,
    ModelOptions,
    ProfileArgument,
    RequirementOptions,
    TopologyOption,
    flattened,
)
from offramp.view.text import percent, requirement_words, seconds

if TYPE_CHECKING:
    from offramp.pipeline.compare import Comparison


@flattened
def compare(
    profile: ProfileArgument,
    asked: RequirementOptions,
    model: ModelOptions,
    topology: TopologyOption = "mobile",
    json: JsonOption = False,
) -> None:
    """Compare with published systems: each chooses by its own model, all are judged by Offramp's.

    Without a requirement: within one point of the best reachable accuracy. Constraints are Offramp's alone.

    Example: offramp compare resnet20-digits --topology mobile --min-accuracy 0.92
    """
    from offramp.pipeline.compare import compare as compare_systems

    comparison = compare_systems(profile, topology, asked.requirement(), **model.arguments())
    if json:
        from offramp.cli.output import print_json

        print_json(comparison.document())
    else:
        _print_rows(comparison)
        _print_drawings(comparison)


def _print_rows(comparison: Comparison) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console, rows = Console(), comparison.systems
    console.print(
        f"Asked for an {requirement_words(comparison.requirement)}. Each system chose by its own model; the "
        f"{comparison.exit_model.value} exit model judged.",
        highlight=False,
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


def _print_drawings(comparison: Comparison) -> None:
    from rich.console import Console

    from offramp.cli.drawing import print_frontier, print_placement

    console, solution = Console(), comparison.solution
    console.print("\nOfframp's plan:", highlight=False)
    print_placement(console, solution.topology, solution.estimated)
    if solution.frontier:
        print_frontier(console, solution.frontier, solution.estimated, solution.requirement, most=6)


def _gain(gain: float | None) -> str:
    if gain is None:
        return "-"
    return f"{abs(100 * gain):.1f} % {'faster' if gain >= 0 else 'slower'}"
