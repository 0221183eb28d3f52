"""`offramp train` and `offramp profile`: the commands that train and measure."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from offramp.cli.options import JsonOption, flattened
from offramp.core.score import ScoreName
from offramp.view.text import percent

if TYPE_CHECKING:
    from offramp.core.profile import Profile
    from offramp.nn.training.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """What to train, on what, and how; what is None is as usual."""

    backbone: Annotated[
        str,
        typer.Option(
            help="resnet20, or another ResNet of depth 6n+2; alexnet, inceptionv3, mobilenetv2, vit-tiny; or your own, "
            "as package.module:factory (a function of num_classes that returns an nn.Module), finely or coarsely "
            "cut: package.module:factory@work=2%."
        ),
    ] = "resnet20"
    data: Annotated[
        str,
        typer.Option(
            help="digits, a folder with CIFAR-10's binary batches, a folder per class, an npz, "
            "a folder of npy's, a table (.csv, .parquet; table.csv?label=COLUMN), or hf:NAME."
        ),
    ] = "digits"
    weights: Annotated[
        Path | None,
        typer.Option(help="The weights of your network, in a file: .pt or .pth with a state dict, or .safetensors."),
    ] = None
    train: Annotated[
        Literal["exits", "all"] | None,
        typer.Option(
            help="exits: your network stays as it is, to the bit, and gets exits; all: everything learns. "
            "By default exits where there are --weights."
        ),
    ] = None
    start_from: Annotated[
        Literal["new", "weights"] | None,
        typer.Option(
            "--from",
            help="weights: the factory's network comes with weights worth keeping, so train all of it gently, "
            "and stop when it gets no better. By default so where there are --weights.",
        ),
    ] = None
    heads: Annotated[
        Literal["light", "own"] | None,
        typer.Option(
            help="Exits that are light, each chosen by cost and accuracy, or the network's own last layers. "
            "By default light where exits alone are trained."
        ),
    ] = None
    normalize: Annotated[
        str | None,
        typer.Option(
            help="How the network wants its images: data (by their own statistics), imagenet, unit (divided by 255), "
            "raw, or mean/deviation, e.g. 0.5,0.5,0.5/0.25,0.25,0.25. By default, for a network that has its weights, "
            "as it says itself, or whichever it is best with."
        ),
    ] = None
    distill: Annotated[
        bool, typer.Option("--distill", help="Let light exits also learn from what the last exit says.")
    ] = False
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Pixels of a side that images are resized to; by default as they are.")
    ] = None
    shift: Annotated[
        int | None, typer.Option(min=0, help="Pixels that images are moved by at random; by default an eighth of them.")
    ] = None
    flip: Annotated[
        bool | None,
        typer.Option("--flip/--no-flip", help="Mirror images at random; by default where that is usual."),
    ] = None
    epochs: Annotated[
        int | None,
        typer.Option(help="Of the network with all branches; by default 6, or 20 of light exits.", show_default=False),
    ] = None
    separate_epochs: Annotated[int, typer.Option(help="Of each network with one branch.")] = 2
    separate: Annotated[
        bool, typer.Option("--separate/--no-separate", help="Train a network for each branch alone, too.")
    ] = True
    batch_size: Annotated[
        int | None, typer.Option(help="Images per step; by default 16, or 64 for light exits.", show_default=False)
    ] = None
    learning_rate: Annotated[
        float | None,
        typer.Option(help="The highest of the schedule; by default 0.1, or 0.003 for light exits.", show_default=False),
    ] = None
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], typer.Option(help="auto (by what is faster here), fp32 or bf16.")
    ] = "auto"
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes for the networks with one branch; by default one per GPU, or core."),
    ] = None
    ray: Annotated[
        str | None, typer.Option(help="Train on the Ray cluster at this address instead.", metavar="HOST:PORT")
    ] = None

    def arguments(self) -> dict[str, Any]:
        """As `offramp.train` takes them."""
        from dataclasses import asdict

        return asdict(self)


@flattened
def train(
    out: Annotated[Path, typer.Option(help="Folder for the run; one that was interrupted goes on.")],
    training: TrainingOptions,
    seed: Annotated[int, typer.Option(help="Of the splits, the first weights and the order of the images.")] = 0,
    json: JsonOption = False,
) -> None:
    """Give a network an exit after every block: your trained one, which stays as it is, or a new one.

    Examples: offramp train --backbone my_models:net --weights net.pt --data pictures/ --out runs/mine
    offramp train --backbone resnet20 --data digits --out runs/digits
    offramp train --data cifar-10-batches-bin --batch-size 128 --out runs/cifar10 --ray head.example.org:6379
    """
    from offramp.pipeline.train import train as train_run

    began = time.perf_counter()
    # Who trains in the background finds a line of each network that is done in the log.
    run = train_run(**training.arguments(), out=out, seed=seed, progress=None if json else True)
    took_s = time.perf_counter() - began
    if json:
        from offramp.cli.output import print_json
        from offramp.nn.training.cautions import cautions

        print_json(
            {
                "run": str(out),
                "backbone": training.backbone,
                "data": training.data,
                "train": run.setup.train,
                "normalize": run.setup.normalize,
                "given_accuracy": run.setup.given_accuracy,
                "warnings": cautions(run),
                "seconds": took_s,
                "branches": [
                    {"block": name, "joint_accuracy": joint, "separate_accuracy": alone}
                    for name, joint, alone in run.accuracies()
                ],
            }
        )
    else:
        _print_accuracy(run)
        print(f"\nTrained in {took_s:.0f} s. Next: offramp profile {out} --out profile.json")


@flattened
def profile(
    run: Annotated[Path, typer.Argument(help="The folder that `offramp train` wrote.")],
    out: Annotated[Path, typer.Option(help="The profile to write; its exit table goes beside it.")] = Path(
        "profile.json"
    ),
    device: Annotated[str | None, typer.Option(help="What to call this machine; by default after its CPU.")] = None,
    repeats: Annotated[int, typer.Option(help="How often to time each block; each partition a quarter of it.")] = 200,
    partitions: Annotated[
        str,
        typer.Option(
            help="How many partitions to time: all, a share such as 20%, or auto: a tenth, but at least a hundred. "
            "The others are fitted."
        ),
    ] = "auto",
    times_only: Annotated[bool, typer.Option("--times-only", help="Measure no accuracy; needs --into.")] = False,
    into: Annotated[Path | None, typer.Option(help="The profile that this machine's times are added to.")] = None,
    score: Annotated[
        ScoreName | None,
        typer.Option(
            help="What exits compare to their thresholds: entropy, unless said otherwise. Temperatures and gates are "
            "fitted on the validation split.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        Path | None,
        typer.Option(help="Write what every exit says of every sample, logits included, to this Parquet file, too."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure a trained network on this machine: times, sizes and exit rates.

    Examples: offramp profile runs/digits --out profile.json
    offramp profile runs/digits --score margin
    offramp profile runs/digits --samples samples.parquet
    offramp profile runs/digits --times-only --into profile.json --device raspberry-pi
    """
    from offramp.errors import fail
    from offramp.pipeline.profile import device_name, quality_documents, timed_partitions, warnings
    from offramp.pipeline.profile import profile as measure

    if times_only != (into is not None):
        fail("--into", "goes with --times-only", "give both to add a machine, or neither for a new profile")
    path = out if into is None else into
    result = measure(
        run,
        out=path,
        device=device,
        repeats=repeats,
        partitions=partitions,
        into=into,
        score=score,
        samples=samples,
    )
    name = device_name(device)
    counted = timed_partitions(result, name)
    if json:
        from offramp.cli.output import print_json

        summary = {"profile": str(path), "backbone": result.backbone.name, "devices": [*result.timings]}
        counts = {"reference_device": result.reference_device, "partitions": counted}
        told = warnings(result, times_only=times_only)
        print_json({**summary, **counts, "exits": quality_documents(result), "warnings": told})
        return
    if not times_only:
        _print_quality(result)
    for sentence in warnings(result, times_only=times_only):
        print(f"Warning: {sentence}.")
    held_out = counted.get("held_out")
    if isinstance(held_out, dict):
        print(
            f"{counted['measured']:,} of {counted['of']:,} partitions timed, the others fitted: off by "
            f"{percent(held_out['error'])} on average, where that was tried on some that were timed"
        )
    print(f"{result.backbone.name} on {name}: {path}. Next: offramp plan {path} --topology mobile")


def _print_quality(profile: Profile) -> None:
    from rich.console import Console
    from rich.table import Table

    figures = profile.columns()
    known = ("accuracy", "balanced_accuracy", "least_recall", "macro_f1", "calibration_error")
    columns = [name for name in known if name in figures]
    table = Table("exit after", *(name.replace("_", " ") for name in columns), title="Exits on the validation split")
    for row, name in enumerate(figures["block"].tolist()):
        table.add_row(f"{row + 1} {name}", *(percent(float(figures[column][row])) for column in columns))
    Console().print(table)


def _print_accuracy(run: Run) -> None:
    from rich.console import Console
    from rich.table import Table

    # Exits of a network that stays as it is depend on no other: trained jointly, each is trained alone.
    alone = run.setup.train == "all"
    columns = ("trained jointly", "trained alone") if alone else ("accuracy",)
    table = Table("exit after", *columns, title="Accuracy on the validation split")
    for number, (name, joint, separate) in enumerate(run.accuracies(), start=1):
        row = [percent(joint), "" if separate is None else percent(separate)]
        table.add_row(f"{number} {name}", *row[: len(columns)])
    Console().print(table)
    if run.setup.given_accuracy is not None:
        same = ", which is the last exit" if not alone else ""
        print(f"The network as it was given: {percent(run.setup.given_accuracy)}{same}.")
