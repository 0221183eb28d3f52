"""`offramp auto`: every step, one after the other."""

from pathlib import Path
from typing import Annotated

import typer

from offramp.cli import options, planning, training


def auto(
    out: Annotated[Path, typer.Option(help="Folder for everything; what is in it already is not done again.")],
    backbone: Annotated[str, typer.Option(help="resnet20, or another ResNet of depth 6n+2.")] = "resnet20",
    data: Annotated[str, typer.Option(help="digits.")] = "digits",
    topology: options.TopologyOption = "mobile",
    min_accuracy: options.MinAccuracyOption = None,
    max_latency: options.MaxLatencyOption = None,
    epochs: Annotated[int, typer.Option(help="Of the network with all branches.")] = training.EPOCHS,
    separate_epochs: Annotated[int, typer.Option(help="Of each network with one branch.")] = training.SEPARATE_EPOCHS,
    separate: Annotated[
        bool, typer.Option("--separate/--no-separate", help="Train a network for each branch alone, too.")
    ] = True,
    repeats: Annotated[int, typer.Option(help="How often to time each block.")] = 200,
    seed: Annotated[int, typer.Option(help="Of the splits, the first weights and the order of the images.")] = 0,
) -> None:
    """Train a network with exits, profile it on this machine and find its best plan.

    Leaves in the folder: the trained networks, profile.json with its exit table, plan.json and frontier.png.

    Example: offramp auto --backbone resnet20 --data digits --topology mobile --out runs/digits
    """
    run, profile = out / "networks", out / "profile.json"
    learning = {"epochs": epochs, "separate_epochs": separate_epochs, "separate": separate, "seed": seed}
    training.train(run, backbone=backbone, data=data, **learning)
    training.profile(run, out=profile, repeats=repeats)
    planning.plan(
        str(profile),
        topology=topology,
        min_accuracy=min_accuracy,
        max_latency=max_latency,
        plot=True,
        figure=out / "frontier.png",
        out=out / "plan.json",
    )
    typer.echo(f"\nIn {out}: networks/ profile.json profile.npz plan.json frontier.png")
