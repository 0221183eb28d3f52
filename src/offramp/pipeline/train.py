"""A network with a branch after every block, trained into the folder of a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from offramp.errors import fail
from offramp.pipeline.arguments import path_of, require_training, whole_number
from offramp.pipeline.progress import Progress, ProgressCallback, ShowProgress, check_progress, reporting
from offramp.view.text import percent

if TYPE_CHECKING:
    from offramp.nn.catalog import BackboneSource
    from offramp.nn.datasets import DataSource
    from offramp.nn.training.jobs import Event
    from offramp.nn.training.run import Run
    from offramp.nn.training.runner import Runner

EPOCHS = 6
SEPARATE_EPOCHS = 2
BATCH_SIZE = 16
LEARNING_RATE = 0.1

Precision = Literal["auto", "fp32", "bf16"]


def train(
    backbone: BackboneSource,
    data: DataSource,
    *,
    out: str | Path,
    image_size: int | None = None,
    shift: int | None = None,
    flip: bool | None = None,
    epochs: int = EPOCHS,
    separate: bool = True,
    separate_epochs: int = SEPARATE_EPOCHS,
    batch_size: int = BATCH_SIZE,
    learning_rate: float = LEARNING_RATE,
    precision: Precision = "auto",
    seed: int = 0,
    workers: int | None = None,
    ray: str | None = None,
    progress: ShowProgress = None,
) -> Run:
    """Train a backbone with a branch after every block, and for each block a network with that branch alone.

    backbone: a name such as `resnet20`; `package.module:factory`; or an `nn.Module` in hand, which is cut into blocks
        and keeps its weights to begin with.
    data: as `read_data` takes it.
    out: the folder of the run; one that was interrupted goes on, and what is trained is not trained again.
    image_size: what images are resized to, square; None for as they are.
    shift, flip: by how many pixels images are moved, and whether they are mirrored, at random; None for what is usual
        for the data set.
    epochs: of the network with all branches.
    separate, separate_epochs: whether to train the networks with one branch, and for how long.
    learning_rate: the highest of the schedule.
    precision: fp32, bf16, or auto for what is faster here.
    seed: of the splits, the first weights and the order of the samples.
    workers: processes for the networks with one branch; None for one per GPU or core. A module in hand trains in this
        process.
    ray: HOST:PORT of a Ray cluster to train on instead.
    Raises `InputError` at once for what can't be used.
    """
    require_training()
    from offramp.nn.catalog import backbone_spec
    from offramp.nn.datasets import read_data
    from offramp.nn.profiling import machine
    from offramp.nn.training.fit import Recipe
    from offramp.nn.training.run import begin_run
    from offramp.nn.training.setup import Setup, read_setup

    out = path_of("out", out, "the folder of the run")
    check_progress(progress)
    for name, value, least in (("image_size", image_size, 1), ("shift", shift, 0), ("workers", workers, 1)):
        if value is not None:
            whole_number(name, value, least=least)
    for name, value in (("epochs", epochs), ("separate_epochs", separate_epochs), ("batch_size", batch_size)):
        whole_number(name, value, least=1)
    whole_number("seed", seed)
    if not isinstance(learning_rate, Real):
        fail("learning_rate", f"{learning_rate!r} is not a number", "give a rate, e.g. 0.05")
    if precision not in ("auto", "fp32", "bf16"):
        fail("precision", f"{precision!r} is unknown", "use auto, fp32 or bf16")
    spec = backbone_spec(backbone)
    runner = _runner(backbone, workers, ray)
    dataset = read_data(data, seed=seed, size=image_size)
    usual = dataset.augmentation
    recipe = Recipe(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        shift=usual.shift if shift is None else shift,
        flip=usual.flip if flip is None else flip,
    )
    bf16 = precision == "bf16" or (precision == "auto" and machine.has_fast_bf16())
    if precision != "auto" and (out / "run.json").exists() and read_setup(out).bf16 != bf16:
        remedy = "leave it out, or give another folder"
        fail("precision", f"the run in {out} began in another than {precision}", remedy)
    alone = replace(recipe, epochs=separate_epochs) if separate else None
    setup = Setup.of(spec, dataset, seed=seed, bf16=bf16, joint=recipe, separate=alone)
    training = begin_run(out, setup, dataset, spec)
    with reporting(progress) as tell:
        tell_training(training.train(runner), tell)
    return training.finished()


def tell_training(events: Iterable[Event], tell: ProgressCallback) -> None:
    """Take the events of networks in training, and tell how far each is, and all of them."""
    from offramp.nn.training import jobs

    totals: dict[str, int] = {}
    seen: dict[str, int] = {}
    planned, finished = jobs.Planned(0, 0), 0
    for event in events:
        match event:
            case jobs.Planned():
                planned = event
                continue
            case jobs.Started(name, images, before):
                totals[name], seen[name] = images, before
                note = ""
            case jobs.Learned(name):
                seen[name] += event.images
                note = f"loss {event.loss:6.3f}  accuracy {event.accuracy:4.0%}"
            case jobs.Finished(name):
                finished += 1
                seen[name] = totals[name]
                took = f"trained in {event.seconds:.1f} s" if event.seconds else "trained before"
                tell(Progress(name, 1.0, f"accuracy {percent(event.accuracy[-1])} on validation, {took}"))
        if not isinstance(event, jobs.Finished):
            tell(Progress(name, min(seen[name] / max(totals[name], 1), 0.999), note))
        if planned.networks > 1 and finished < planned.networks:
            done = sum(seen.values()) / max(planned.images, 1)
            tell(Progress("all", min(done, 0.999), f"{finished} of {planned.networks} networks done"))
    if planned.networks > 1:
        tell(Progress("all", 1.0))


def _runner(backbone: object, workers: int | None, ray: str | None) -> Runner:
    from offramp.nn.training.jobs import local_runner
    from offramp.nn.training.ray_runner import OnRay
    from offramp.nn.training.runner import in_turn

    if ray is not None and not isinstance(ray, str):
        fail("ray", f"is {type(ray).__name__}", "give HOST:PORT of a cluster")
    if isinstance(backbone, str):
        return OnRay(ray) if ray else local_runner(workers)
    if ray or (workers or 1) > 1:
        fail("workers", "other processes can't make a module that is in hand", "leave it out, or name a factory")
    return in_turn
