"""`offramp plan` and `offramp estimate`: the best plan, and what a given plan would achieve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from offramp.cli.options import (
    EstimateOptions,
    JsonOption,
    ModelOptions,
    ProfileArgument,
    RequirementOptions,
    SeedOption,
    TopologyOption,
    flattened,
)

PlanOption = Annotated[
    str, typer.Option(help="The plan in one line, or a file that holds one.", metavar="'1-3@TIER ... T=0.40'")
]


@flattened
def plan(
    profile: ProfileArgument,
    asked: RequirementOptions,
    model: ModelOptions,
    topology: TopologyOption = "mobile",
    seed: SeedOption = 0,
    frontier: Annotated[
        bool | None,
        typer.Option(help="Find the whole frontier, not only the one plan. [default: but with --threshold-per-exit]"),
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the frontier in the terminal.")] = False,
    figure: Annotated[Path | None, typer.Option(help="Draw the frontier into this PNG, SVG or PDF.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the answer to this JSON file.")] = None,
    json: JsonOption = False,
) -> None:
    """Find the optimal plan: where to cut, where to put the pieces, when samples exit.

    Without a requirement: the fastest plan within one point of the best reachable accuracy.
    Exit code 1 says that no plan meets the requirements; what to give up, and the plan then, is shown.

    Example: offramp plan resnet20-digits --topology mobile --min-accuracy 0.92
    """
    from offramp.pipeline.solve import solve

    solution = solve(
        profile,
        topology,
        asked.requirement(),
        **model.arguments(),
        frontier=True if plot or figure else frontier,
        seed=seed,
    )
    if out:
        solution.write(out)
    if figure:
        from offramp.view.drawing import save_figure

        save_figure(solution.picture, figure)
    if json:
        from offramp.cli.output import print_json

        print_json(solution.document())
    else:
        from offramp.cli.showing import print_picture, print_solution

        print_solution(solution)
        if plot:
            print_picture(solution.picture)
    if not solution.met:
        raise typer.Exit(1)


@flattened
def estimate(
    profile: ProfileArgument,
    plan: PlanOption,
    model: EstimateOptions,
    topology: TopologyOption = "mobile",
    json: JsonOption = False,
) -> None:
    """Predict the accuracy and the latency of one given plan.

    Example: offramp estimate resnet20-digits --topology mobile --plan "1-3@smartwatch 4-10@smartphone T=0.40"
    """
    from offramp.pipeline.estimate import estimate as predict

    prediction = predict(profile, topology, plan, **model.arguments())
    if json:
        from offramp.cli.output import print_json

        print_json(prediction.document())
    else:
        from offramp.cli.showing import print_prediction

        print_prediction(prediction)
