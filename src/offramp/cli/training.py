"""`offramp train` and `offramp profile`: the commands that need PyTorch."""

import math
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from offramp.cli.output import print_json
from offramp.cli.progress import stage_bars, train_with_progress
from offramp.errors import MissingExtraError, fail
from offramp.view.text import percent

if TYPE_CHECKING:
    from offramp.core.backbone import Backbone

EPOCHS = 6
SEPARATE_EPOCHS = 2
BATCH_SIZE = 16
LEARNING_RATE = 0.1
BACKBONE = (
    "resnet20, or another ResNet of depth 6n+2; alexnet, inceptionv3, mobilenetv2, vit-tiny; or your own, as "
    "package.module:factory (a function of num_classes that returns an nn.Module), finely or coarsely cut: "
    "package.module:factory@work=2%."
)
DATA = "digits, a folder with CIFAR-10's binary batches, a folder per class, an npz, or hf:NAME."

ImageSizeOption = Annotated[
    int | None, typer.Option(min=1, help="Pixels of a side that images are resized to; by default as they are.")
]
BatchSizeOption = Annotated[int, typer.Option(help="Images per step.")]
LearningRateOption = Annotated[float, typer.Option(help="The highest of the schedule.")]
RayOption = Annotated[
    str | None, typer.Option(help="Train on the Ray cluster at this address instead.", metavar="HOST:PORT")
]


def train(
    out: Annotated[Path, typer.Option(help="Folder for the run; one that was interrupted goes on.")],
    backbone: Annotated[str, typer.Option(help=BACKBONE)] = "resnet20",
    data: Annotated[str, typer.Option(help=DATA)] = "digits",
    image_size: ImageSizeOption = None,
    shift: Annotated[
        int | None, typer.Option(min=0, help="Pixels that images are moved by at random; by default an eighth of them.")
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option("--flip/--no-flip", help="Mirror images at random; by default where that is usual."),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Of the network with all branches.")] = EPOCHS,
    separate_epochs: Annotated[int, typer.Option(help="Of each network with one branch.")] = SEPARATE_EPOCHS,
    separate: Annotated[
        bool, typer.Option("--separate/--no-separate", help="Train a network for each branch alone, too.")
    ] = True,
    batch_size: BatchSizeOption = BATCH_SIZE,
    learning_rate: LearningRateOption = LEARNING_RATE,
    seed: Annotated[int, typer.Option(help="Of the splits, the first weights and the order of the images.")] = 0,
    precision: Annotated[str, typer.Option(help="auto (by what is faster here), fp32 or bf16.")] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes for the networks with one branch; by default one per GPU, or core."),
    ] = None,
    ray: RayOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train a backbone with a branch after every block.

    Examples: offramp train --backbone resnet20 --data digits --out runs/digits
    offramp train --data cifar-10-batches-bin --batch-size 128 --out runs/cifar10 --ray head.example.org:6379
    """
    require_torch()
    from offramp.nn.catalog import backbone_spec
    from offramp.nn.datasets import read_data
    from offramp.nn.profiling import machine
    from offramp.nn.training import jobs
    from offramp.nn.training.fit import Recipe
    from offramp.nn.training.ray_runner import OnRay
    from offramp.nn.training.run import JOINT, begin_run, separate_name
    from offramp.nn.training.setup import Setup, read_setup

    if precision not in ("auto", "fp32", "bf16"):
        fail("--precision", f"{precision!r} is unknown", "use auto, fp32 or bf16")
    if seed < 0:
        fail("--seed", f"{seed} is below zero", "give zero or more")
    spec, samples = backbone_spec(backbone), read_data(data, seed=seed, size=image_size)
    usual = samples.augmentation
    learning_how: dict[str, Any] = {
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "shift": usual.shift if shift is None else shift,
        "flip": usual.flip if flip is None else flip,
    }
    setup = Setup.of(
        spec,
        samples,
        seed=seed,
        bf16=precision == "bf16" or (precision == "auto" and machine.has_fast_bf16()),
        joint=Recipe(epochs=epochs, **learning_how),
        separate=Recipe(epochs=separate_epochs, **learning_how) if separate else None,
    )
    if precision != "auto" and (out / "run.json").exists() and read_setup(out).bf16 != setup.bf16:
        fail(
            "--precision", f"the run in {out} began in another than {precision}", "leave it out, or give another folder"
        )
    began = time.perf_counter()
    training = begin_run(out, setup, samples, spec)
    accuracy = train_with_progress(training.train(OnRay(ray) if ray else jobs.local_runner(workers)))
    seconds = time.perf_counter() - began
    names = training.network.names
    joint = accuracy[JOINT]
    alone = [accuracy.get(separate_name(i), (None,))[0] for i in range(1, len(names) + 1)]
    if as_json:
        rows = [
            {"block": name, "joint_accuracy": j, "separate_accuracy": s}
            for name, j, s in zip(names, joint, alone, strict=True)
        ]
        print_json({"run": str(out), "backbone": backbone, "data": data, "seconds": seconds, "branches": rows})
    else:
        _print_accuracy(names, joint, alone)
        print(f"\nTrained in {seconds:.0f} s. Next: offramp profile {out} --out profile.json")


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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure a trained network on this machine: times, sizes and who exits where.

    Examples: offramp profile runs/digits --out profile.json
    offramp profile runs/digits --times-only --into profile.json --device raspberry-pi
    """
    if times_only != (into is not None):
        fail("--into", "goes with --times-only", "give both to add a machine, or neither for a new profile")
    check_repeats(repeats)
    share = _share_of_partitions(partitions)
    require_torch()
    from offramp.files import read_profile, write_profile
    from offramp.nn.profiling import machine, profiler
    from offramp.nn.training.run import read_run
    from offramp.runtime.transport import messages

    path = out if into is None else into
    if not path.parent.is_dir():
        fail("--out", f"there is no folder {path.parent}", "make it first")
    if path.is_dir():
        fail("--out", f"{path} is a folder", f"name a file, e.g. {path / 'profile.json'}")
    found = read_run(run)
    name = machine.short_name(machine.cpu_model()) if device is None else device
    options: dict[str, Any] = {
        "device": name,
        "repeats": repeats,
        "partition_repeats": repeats // 4,
        "partitions": share,
    }
    if into is None:
        with stage_bars() as report:
            result = profiler.profile_network(
                found.network,
                found.dataset,
                backbone=found.setup.backbone,
                seed=found.setup.seed,
                separate_accuracy=found.separate_accuracy,
                training=found.training_record(),
                **options,
                overhead_bits=messages.overhead_bits(),
                report=report,
            )
    else:
        result = read_profile(into)
        described = profiler.describe(found.network, found.dataset, backbone=found.setup.backbone)
        same_backbone(described, result.backbone, "--into")
        with stage_bars() as report:
            times = profiler.measure(
                found.network,
                found.dataset,
                seed=found.setup.seed,
                **options,
                codecs=result.codecs,
                report=report,
            )
        result = times.into(result)
    write_profile(result, path)
    counted = cast("dict[str, dict[str, Any]]", result.provenance["partitions"])[name]
    if as_json:
        summary = {"profile": str(path), "backbone": result.backbone.name, "devices": [*result.timings]}
        print_json({**summary, "reference_device": result.reference_device, "partitions": counted})
    else:
        if counted["held_out"] is not None:
            print(
                f"{counted['measured']:,} of {counted['of']:,} partitions timed, the others fitted: off by "
                f"{percent(counted['held_out']['error'])} on average, where that was tried on some that were timed"
            )
        print(f"{result.backbone.name} on {name}: {path}. Next: offramp plan {path} --topology mobile")


def check_repeats(repeats: int) -> None:
    """Raise `InputError` for too few."""
    if repeats < 4:
        fail("--repeats", f"{repeats} are too few", "give at least 4, better 200")


def require_torch() -> None:
    """Raise `MissingExtraError` where the packages that train and measure are not installed."""
    wanted = ("torch", "safetensors", "sklearn", "onnx", "onnxscript", "onnxruntime", "msgspec")
    if any(find_spec(package) is None for package in wanted):
        raise MissingExtraError("training needs PyTorch and more: pip install 'offramp[train]'")


def same_backbone(measured: "Backbone", wanted: "Backbone", option: str) -> None:
    """Raise `InputError` for a profile, given by that option, of another network than the run's."""
    if measured != wanted:
        names = [f"{backbone.name} on {backbone.dataset}" for backbone in (wanted, measured)]
        problem = f"the profile is of {names[0]}, the run is of {names[1]}"
        if names[0] == names[1]:
            problem = f"the blocks of {names[0]} in the profile differ from those of the run"
        fail(option, problem, "give the profile that was made from this run")


def _share_of_partitions(text: str) -> float | None:
    """None for `auto`; 1 for `all`; 0.1 for `10%` or `0.1`. Raises `InputError` for anything else."""
    if text in ("auto", "all"):
        return None if text == "auto" else 1.0
    number, percents = text.removesuffix("%"), text.endswith("%")
    try:
        share = float(number) / (100 if percents else 1)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        fail("--partitions", f"{text!r} is no share of them", "use auto, all, or a share such as 10% or 0.1")
    return share


def _print_accuracy(names: Sequence[str], joint: tuple[float, ...], alone: list[float | None]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("branch after", "trained jointly", "trained alone", title="Accuracy on the validation split")
    for i, (name, j, s) in enumerate(zip(names, joint, alone, strict=True), start=1):
        table.add_row(f"{i} {name}", percent(j), "" if s is None else percent(s))
    Console().print(table)
