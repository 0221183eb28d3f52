"""`offramp auto`: every step, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from offramp.cli.options import ModelOptions, RequirementOptions, TopologyOption, flattened
from offramp.cli.training import TrainingOptions


@flattened
def auto(
    out: Annotated[Path, typer.Option(help="Folder for everything; a network that is trained is not trained again.")],
    training: TrainingOptions,
    asked: RequirementOptions,
    model: ModelOptions,
    topology: TopologyOption = "mobile",
    repeats: Annotated[int, typer.Option(help="How often to time each block.")] = 200,
    tuning_epochs: Annotated[int, typer.Option(min=0, help="Of the plan's branches.")] = 2,
    count: Annotated[int, typer.Option(min=1, help="How many held-out samples to run at most.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn at random.")] = 0,
) -> None:
    """Train a network with exits, profile it on this machine, find its best plan, build it, and run it.

    Leaves in the folder: the trained networks, profile.json with its exit table, plan.json, the bundle, and
    result.json: predicted beside measured. Exit code 1 says that no plan meets the requirements; nothing is built
    then.

    Example: offramp auto --backbone resnet20 --data digits --topology mobile --out runs/digits
    """
    from offramp.cli.building import print_bundle
    from offramp.cli.running import print_run
    from offramp.cli.showing import print_picture, print_solution
    from offramp.files import read_topology
    from offramp.pipeline.build import build
    from offramp.pipeline.profile import check_repeats, profile
    from offramp.pipeline.run import run
    from offramp.pipeline.solve import solve
    from offramp.pipeline.train import train
    from offramp.view.drawing import save_figure

    # What can be seen to be wrong is refused now, and not after the training.
    tiers, requirement, models = read_topology(topology), asked.requirement(), model.arguments()
    check_repeats(repeats)
    trained = train(**training.arguments(), out=out / "networks", seed=seed)
    measured = profile(trained, out=out / "profile.json", repeats=repeats)
    solution = solve(measured, tiers, requirement, **models, seed=seed)
    solution.write(out / "plan.json")
    print_solution(solution)
    if solution.frontier:
        save_figure(solution.picture, out / "frontier.png")
        print_picture(solution.picture)
    if not solution.met:
        raise typer.Exit(1)
    typer.echo("\nBuilding it:")
    bundle = build(trained, solution, out=out / "bundle", epochs=tuning_epochs)
    print_bundle(bundle)
    typer.echo("\nRunning it here, every tier a process and every link emulated:")
    finished = run(bundle, trained.dataset.test, count=count, out=out / "result.json")
    print_run(finished)
    drawn = " frontier.png" if solution.frontier else ""
    typer.echo(f"\nIn {out}: networks/ profile.json plan.json{drawn} bundle/ result.json")
    if finished.result.outcomes.failed:
        raise typer.Exit(1)
