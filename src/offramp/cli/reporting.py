"""`offramp report`: a plan or a study as a file that can be sent."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from offramp.cli import asking
from offramp.cli.options import (
    ComputesOption,
    ExitsOption,
    JsonOption,
    MaxLatencyOption,
    MinAccuracyOption,
    ProfileArgument,
    TopologyOption,
    planner_of,
)


def report(
    profile: ProfileArgument,
    out: Annotated[Path, typer.Option(help="The file to write: .html, .pdf, .png or .md.")],
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
        str | None, typer.Option("--format", help="html, pdf, png or md. [default: as the file ends]")
    ] = None,
    min_accuracy: MinAccuracyOption = None,
    max_latency: MaxLatencyOption = None,
    latency: asking.LatencyOption = None,
    confidence: asking.ConfidenceOption = None,
    certify: asking.CertifyOption = None,
    seed: asking.SeedOption = 0,
    exits_per_tier: asking.ExitsPerTierOption = None,
    threshold_per_exit: asking.ThresholdPerExitOption = None,
    keep: asking.KeepOption = None,
    memory: asking.MemoryOption = None,
    forbid: asking.ForbidOption = None,
    require: asking.RequireOption = None,
    max_upload: asking.MaxUploadOption = None,
    price: asking.PriceOption = None,
    price_bit: asking.PriceBitOption = None,
    budget: asking.BudgetOption = None,
    requirements: asking.RequirementsOption = None,
    exit_model: ExitsOption = None,
    compute: ComputesOption = None,
    thresholds: asking.ThresholdsOption = None,
    json: JsonOption = False,
) -> None:
    """Write a report: what was asked, the plan, what it achieves, what else there is, and what runs measured.

    HTML is one file that loads nothing. Markdown has its figures and tables in a folder beside it.

    Example: offramp report resnet20-digits --topology mobile --min-accuracy 0.92 --out report.html
    """
    from importlib.metadata import version

    from offramp.core.planner import SearchLimits
    from offramp.files import read_plan, read_profile, read_result
    from offramp.pipeline.solve import find
    from offramp.reports import Study, write_report
    from offramp.reports.writing import format_of

    form = format_of(out, format_)
    asked = asking.asked_for(
        requirements,
        min_accuracy=min_accuracy,
        max_latency=max_latency,
        latency=latency,
        confidence=confidence,
        certify=certify,
        exits_per_tier=exits_per_tier,
        threshold_per_exit=threshold_per_exit,
        keep=keep,
        memory=memory,
        forbid=forbid,
        require=require,
        max_upload=max_upload,
        price=price,
        price_bit=price_bit,
        budget=budget,
    )
    plans = [read_plan(each) for each in plan or ()]
    results = [(Path(each).name, read_result(each)) for each in run or ()]
    measured = read_profile(profile)
    planner = planner_of(measured, topology, exit_model, compute, thresholds, asked.options)
    with _waiting():
        found = find(planner, asked, SearchLimits(), frontier=True, seed=seed)
        study = Study.of(measured, planner, found, plans=plans, results=results)
        made = f"Offramp {version('offramp')}, {date.today().isoformat()}"
        write_report(study, out, form=form, command=shlex.join(["offramp", *sys.argv[1:]]), made=made)
    told, size = [str(each.estimated.plan) for each in study.candidates], out.stat().st_size
    if json:
        from offramp.cli.output import print_json

        print_json({"out": str(out), "format": form, "bytes": size, "plans": told, "meets": study.candidates[0].meets})
    else:
        typer.echo(f"{out}: {size / 1000:,.0f} kB about {', '.join(told)}")


@contextmanager
def _waiting() -> Iterator[None]:
    """Tell someone who waits at a terminal what for."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status("planning and writing"):
        yield
