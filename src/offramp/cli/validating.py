"""`offramp validate`: many plans run, predicted against measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offramp.cli.options import JsonOption, ModelOptions, RequirementOptions, SeedOption, flattened
from offramp.view.text import percent, seconds

if TYPE_CHECKING:
    from offramp.core.validation import Validation


@flattened
def validate(
    run: Annotated[Path, typer.Argument(help="The folder that `offramp train` wrote.")],
    profile: Annotated[str, typer.Option(help="The profile that was made of it on this machine.")],
    asked: RequirementOptions,
    model: ModelOptions,
    topology: Annotated[
        list[str] | None,
        typer.Option("--topology", "-t", help="A topology to run plans on. Can be given again. [default: mobile, iot]"),
    ] = None,
    plans: Annotated[int, typer.Option(min=1, help="How many plans on each: half of the frontier, half random.")] = 20,
    count: Annotated[int, typer.Option(min=2, help="How many held-out samples to send through each.")] = 20,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder for validation.json and validation.png.")] = Path("validation"),
    json: JsonOption = False,
) -> None:
    """Run many plans on this machine and report how far the predictions are off; no plan is left out.

    Predicted is what the model says of the very samples that are sent. What was measured is kept plan by plan.
    Without --codec and --requirements activations travel in any codec.

    Example: offramp validate runs/digits --profile profile.json
    """
    from offramp.pipeline.validate import validate as validate_plans

    validation = validate_plans(
        run,
        profile,
        topology or ("mobile", "iot"),
        asked.requirement(codec="any"),
        plans=plans,
        count=count,
        **model.arguments(),
        seed=seed,
        out=out,
    )
    if json:
        from offramp.cli.output import print_json
        from offramp.files.results import validation_document

        print_json(validation_document(validation))
    else:
        _print(validation, out)


def _print(validation: Validation, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console, agreement = Console(), validation.latency
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("topology", "predicted", "measured", "off by", "plan"):
        table.add_column(heading, justify="left" if heading in ("topology", "plan") else "right")
    for plan in validation.plans:
        off = 100 * (plan.measured.latency_s / plan.predicted.latency_s - 1)
        latencies = seconds(plan.predicted.latency_s), seconds(plan.measured.latency_s)
        table.add_row(plan.topology, *latencies, f"{off:+.2f} %", str(plan.plan))
    console.print(table)
    slope = "-" if agreement.slope is None else f"{agreement.slope:.4f}"
    r2 = "-" if agreement.r2 is None else f"{agreement.r2:.5f}"
    median, worst = percent(agreement.median_relative_error), percent(agreement.worst_relative_error)
    console.print(
        f"\n{len(validation.plans)} plans: latency slope {slope}, R2 {r2}, error {median} in the median and {worst} at "
        f"worst; accuracy off by at most {validation.accuracy_worst_points:.2f} points, exit rates by "
        f"{validation.exit_rate_worst_points:.2f}.",
        highlight=False,
    )
    console.print(f"In {out}: validation.json validation.png", highlight=False)
