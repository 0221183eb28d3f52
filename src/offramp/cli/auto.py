"""`offramp auto`: every step, one after the other."""

from pathlib import Path
from typing import Annotated

import typer

from offramp.cli import asking, building, options, planning, running, training


def auto(
    out: Annotated[Path, typer.Option(help="Folder for everything; a network that is trained is not trained again.")],
    backbone: Annotated[str, typer.Option(help=training.BACKBONE)] = "resnet20",
    data: Annotated[str, typer.Option(help=training.DATA)] = "digits",
    image_size: training.ImageSizeOption = None,
    batch_size: training.BatchSizeOption = training.BATCH_SIZE,
    learning_rate: training.LearningRateOption = training.LEARNING_RATE,
    topology: options.TopologyOption = "mobile",
    min_accuracy: options.MinAccuracyOption = None,
    max_latency: options.MaxLatencyOption = None,
    keep: asking.KeepOption = None,
    codec: options.CodecOption = options.CodecChoice.fp32,
    epochs: Annotated[int, typer.Option(help="Of the network with all branches.")] = training.EPOCHS,
    separate_epochs: Annotated[int, typer.Option(help="Of each network with one branch.")] = training.SEPARATE_EPOCHS,
    separate: Annotated[
        bool, typer.Option("--separate/--no-separate", help="Train a network for each branch alone, too.")
    ] = True,
    repeats: Annotated[int, typer.Option(help="How often to time each block.")] = 200,
    tuning_epochs: Annotated[int, typer.Option(min=0, help="Of the plan's branches.")] = building.EPOCHS,
    count: Annotated[int, typer.Option(min=2, help="How many held-out samples to run at most.")] = 100,
    seed: Annotated[int, typer.Option(help="Of the splits, the first weights and the order of the images.")] = 0,
    ray: training.RayOption = None,
) -> None:
    """Train a network with exits, profile it on this machine, find its best plan, build it, and run it.

    Leaves in the folder: the trained networks, profile.json with its exit table, plan.json, frontier.png, the bundle,
    and result.json: predicted beside measured.

    Example: offramp auto --backbone resnet20 --data digits --topology mobile --out runs/digits
    """
    from offramp.files import read_topology

    # What can be seen to be wrong is refused now, and not after the training.
    read_topology(topology)
    stated = {"min_accuracy": min_accuracy, "max_latency": max_latency, "keep": keep}
    asking.asked_for(None, memory=None, price=None, price_bit=None, **stated)
    training.check_repeats(repeats)
    run, profile = out / "networks", out / "profile.json"
    training.train(
        run,
        backbone=backbone,
        data=data,
        image_size=image_size,
        epochs=epochs,
        separate_epochs=separate_epochs,
        separate=separate,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        ray=ray,
    )
    training.profile(run, out=profile, repeats=repeats)
    plan, bundle, result = out / "plan.json", out / "bundle", out / "result.json"
    planning.plan(
        str(profile),
        topology=topology,
        min_accuracy=min_accuracy,
        max_latency=max_latency,
        keep=keep,
        codec=codec,
        plot=True,
        figure=out / "frontier.png",
        out=plan,
    )
    typer.echo("\nBuilding it:")
    building.build(run, str(plan), str(profile), topology=topology, out=bundle, epochs=tuning_epochs)
    typer.echo("\nRunning it here, every tier a process and every link emulated:")
    running.run(bundle, count=count, out=result)
    left = ["networks/", *(path.name for path in (profile, plan)), "frontier.png", "bundle/", result.name]
    typer.echo(f"\nIn {out}: {' '.join(left)}")
