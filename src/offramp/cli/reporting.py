"""`offramp report`: a plan or a study as a file that can be sent."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from offramp.cli.options import (
    JsonOption,
    ModelOptions,
    ProfileArgument,
    RequirementOptions,
    SeedOption,
    TopologyOption,
    flattened,
)


@flattened
def report(
    profile: ProfileArgument,
    out: Annotated[Path, typer.Option(help="The file to write: .html, .pdf, .png or .md.")],
    asked: RequirementOptions,
    model: ModelOptions,
    topology: TopologyOption = "mobile",
    plan: Annotated[
        list[str] | None,
        typer.Option(
            help="A plan in one line, or a file that holds one. Can be given again. [default: those of the runs, "
            "else the best]"
        ),
    ] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(help="What `offramp run` or `offramp validate` wrote with --out. Can be given again."),
    ] = None,
    format_: Annotated[
        Literal["html", "pdf", "png", "md"] | None, typer.Option("--format", help="[default: as the file ends]")
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Write a report: what was asked, the plan, what it achieves, what else there is, and what runs measured.

    HTML is one file that loads nothing. Markdown has its figures and tables in a folder beside it.

    Example: offramp report resnet20-digits --topology mobile --min-accuracy 0.92 --out report.html
    """
    from offramp.reports.report import report as write_report

    written = write_report(
        profile,
        topology,
        asked.requirement(),
        out=out,
        plans=plan or (),
        results=run or (),
        format=format_,
        **model.arguments(),
        seed=seed,
        command=shlex.join(["offramp", *sys.argv[1:]]),
    )
    if json:
        from offramp.cli.output import print_json

        print_json(
            {
                "out": str(out),
                "format": written.format,
                "bytes": written.size_bytes,
                "plans": list(written.plans),
                "meets": written.meets,
            }
        )
    else:
        typer.echo(f"{out}: {written.size_bytes / 1000:,.0f} kB about {', '.join(written.plans)}")
