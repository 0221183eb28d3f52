"""`offramp run`: a bundle at work on this machine, predicted beside measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offramp.cli.options import JsonOption
from offramp.view.text import seconds

if TYPE_CHECKING:
    from offramp.pipeline.run import BundleRun

DeadlineOption = Annotated[str, typer.Option(help="Of each request, from the moment it is sent.")]
WindowOption = Annotated[int, typer.Option(min=1, max=256, help="Requests in flight at once.")]


def run(
    bundle: Annotated[Path, typer.Argument(help="The folder that `offramp build` wrote.")],
    samples: Annotated[
        Path | None,
        typer.Option(
            help="An npz as it is trained on, a folder of images, or a table. [default: the data set's held-out ones]"
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="How many samples to send at most. [default: all that are given; 100 held-out ones]"),
    ] = None,
    window: WindowOption = 1,
    deadline: DeadlineOption = "60s",
    emulate: Annotated[
        bool,
        typer.Option("--emulate/--full-speed", help="Emulate the tiers' slowdowns, or none; links always are."),
    ] = True,
    out: Annotated[Path | None, typer.Option(help="Write what was predicted and measured to this JSON file.")] = None,
    json: JsonOption = False,
) -> None:
    """Run a bundle on this machine: every tier a process, every link emulated. Shows predicted beside measured.

    With one request in flight latencies are the model's; with more they hold the waiting too, which it leaves out.
    Exit code 1 says that some samples got no answer.

    Example: offramp run bundle --count 100
    """
    from offramp.pipeline.run import run as run_bundle

    finished = run_bundle(bundle, samples, count=count, window=window, deadline=deadline, emulate=emulate, out=out)
    if json:
        from offramp.cli.output import print_json

        print_json(finished.document())
    else:
        print_run(finished)
    if finished.result.outcomes.failed:
        raise typer.Exit(1)


def print_run(finished: BundleRun) -> None:
    """Show predicted, replayed and measured side by side."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    console.print(f"[bold]{finished.result.plan}[/bold]", highlight=False)
    console.print(finished.outcome, highlight=False)
    if finished.result.measured is None:
        error = escape(finished.first_error)
        console.print(f"[red]No answer at all. The first error: {error}[/]", highlight=False)
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    first, *others = finished.columns_of_rows
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="right")
    for row in finished.rows():
        table.add_row(*row)
    console.print(table)
    if finished.emulated:
        console.print(
            f"Partitions were stretched to their tiers' predicted speed; they themselves ran for "
            f"{seconds(finished.computing_s)} a sample here.",
            highlight=False,
            style="dim",
        )
