"""A network with a branch after every block, trained into the folder of a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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
    from offramp.nn.training.setup import Heads, Trained

SEPARATE_EPOCHS = 2

Precision = Literal["auto", "fp32", "bf16"]
Start = Literal["new", "weights"]
"""What training begins with: new weights, or those that the network comes with or is given."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What a recipe is where nothing else was asked for; the share is not asked for."""

    epochs: int
    batch_size: int
    learning_rate: float
    given_share: float = 1.0


NEW = Usual(epochs=6, batch_size=16, learning_rate=0.1)
FINE_TUNED = Usual(epochs=6, batch_size=16, learning_rate=0.1, given_share=0.03)
# Light exits of a network that stays as it is: an epoch of them takes no pass through the network.
LIGHT = Usual(epochs=20, batch_size=64, learning_rate=0.003)


def train(
    backbone: BackboneSource,
    data: DataSource,
    *,
    out: str | Path,
    weights: str | Path | None = None,
    train: Trained | None = None,
    start_from: Start | None = None,
    heads: Heads | None = None,
    normalize: str | Sequence[Any] | None = None,
    distill: bool = False,
    image_size: int | None = None,
    shift: int | None = None,
    flip: bool | None = None,
    epochs: int | None = None,
    separate: bool = True,
    separate_epochs: int = SEPARATE_EPOCHS,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    precision: Precision = "auto",
    seed: int = 0,
    workers: int | None = None,
    ray: str | None = None,
    progress: ShowProgress = None,
) -> Run:
    """Give a network an exit after every block: exits alone, for one that is trained, or all of it.

    backbone: a name such as `resnet20`; `package.module:factory`; or an `nn.Module` in hand, which is cut into blocks
        and keeps its weights to begin with.
    data: as `read_data` takes it.
    out: the folder of the run; one that was interrupted goes on, and what is trained is not trained again.
    weights: a file with the weights of a network of yours: a state dict (.pt, .pth) or .safetensors.
    train: `exits` to leave the network as it was given, to the bit, and train its exits alone; `all` to train
        everything. None for `exits` where there are weights to keep: from a file, or in a module in hand that is
        clearly better than chance.
    start_from: `weights` where the factory's network comes with weights that are worth keeping: a gentler rate, and
        an end when no epoch is better than those before; `new` where it has none. None for what `train` and `weights`
        say.
    heads: what exits are: `light` ones, chosen block by block by what they cost and how good they are, or the
        network's `own` last layers. None for light ones where exits alone are trained, else the network's own.
    normalize: how images are normalized for the network: `data` (by the data set's own statistics), `imagenet`, `unit`
        (divided by 255), `raw`, or means and deviations of images in 0..1, as a pair or as 0.5/0.25. None for what the
        network says itself or else what it does best with, where it has weights; else `data`.
    distill: whether light exits also learn from what the last exit says.
    image_size: what images are resized to, square; None for as they are.
    shift, flip: by how many pixels images are moved, and whether they are mirrored, at random; None for what is usual
        for the data set. Light exits alone learn from images as they are.
    epochs, batch_size, learning_rate: of the network with all branches; the rate is the highest of the schedule. None
        for what is usual: see `NEW`, `FINE_TUNED` and `LIGHT`. Where all of a network learns that has its weights,
        these learn with 3 % of the rate, and what is new with all of it.
    separate, separate_epochs: whether to train the networks with one branch, and for how long. Exits of a network that
        stays as it is depend on no other, and are not trained twice.
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
    from offramp.nn.normalization import normalization_text
    from offramp.nn.normalization import usual as usually_normalized
    from offramp.nn.profiling import machine
    from offramp.nn.training.cautions import cautions
    from offramp.nn.training.fit import Recipe
    from offramp.nn.training.given import in_its_channels, seems_trained
    from offramp.nn.training.run import begin_run
    from offramp.nn.training.setup import Setup, read_setup

    out = path_of("out", out, "the folder of the run")
    check_progress(progress)
    numbers = {"image_size": (image_size, 1), "shift": (shift, 0), "workers": (workers, 1), "epochs": (epochs, 1)}
    for name, (value, least) in {**numbers, "batch_size": (batch_size, 1)}.items():
        if value is not None:
            whole_number(name, value, least=least)
    whole_number("separate_epochs", separate_epochs, least=1)
    whole_number("seed", seed)
    if learning_rate is not None and not isinstance(learning_rate, Real):
        fail("learning_rate", f"{learning_rate!r} is not a number", "give a rate, e.g. 0.05")
    for name, choice, choices in (
        ("precision", precision, ("auto", "fp32", "bf16")),
        ("train", train, (None, "exits", "all")),
        ("start_from", start_from, (None, "new", "weights")),
        ("heads", heads, (None, "light", "own")),
    ):
        if choice not in choices:
            *others, last = filter(None, choices)
            fail(name, f"{choice!r} is unknown", f"use {', '.join(others)} or {last}")
    file = None if weights is None else path_of("weights", weights, "a file of weights")
    normalized = None if normalize is None else normalization_text(normalize)
    spec = backbone_spec(backbone)
    if start_from == "new" and (file is not None or train == "exits" or spec.trained):
        remedy = "leave start_from out, or train all of the network, without weights"
        fail("start_from", "is new, and there are weights to keep", remedy)
    given = backbone_spec(backbone, weights=file)
    runner = _runner(backbone, workers, ray)
    dataset = in_its_channels(given, read_data(data, seed=seed, size=image_size))
    from_weights = file is not None or spec.trained or train == "exits" or start_from == "weights"
    if not from_weights and start_from is None and not isinstance(backbone, str):
        from_weights = seems_trained(given, dataset, seed=seed, normalize=normalized)
    trained = train or ("exits" if from_weights and start_from is None else "all")
    made_of = heads or ("light" if trained == "exits" else "own")
    light = trained == "exits" and made_of == "light"
    if not light and not spec.learns:
        fail(
            "train",
            "a network in an ONNX file stays as it is: light exits alone can learn",
            "leave train and heads out",
        )
    if light:
        _check_light(shift, flip, ray)
    elif distill:
        fail("distill", "is for light exits of a network that stays as it is", "leave it out, or train exits alone")
    usual = LIGHT if light else FINE_TUNED if from_weights else NEW
    recipe = Recipe(
        epochs=epochs or usual.epochs,
        batch_size=batch_size or usual.batch_size,
        learning_rate=usual.learning_rate if learning_rate is None else learning_rate,
        shift=0 if light else dataset.augmentation.shift if shift is None else shift,
        flip=False if light else dataset.augmentation.flip if flip is None else flip,
        given_share=usual.given_share,
    )
    bf16 = not light and (precision == "bf16" or (precision == "auto" and machine.has_fast_bf16()))
    if precision != "auto" and (out / "run.json").exists() and read_setup(out).bf16 != bf16:
        remedy = "leave it out, or give another folder"
        fail("precision", f"the run in {out} began in another than {precision}", remedy)
    setup = Setup.of(
        spec,
        dataset,
        seed=seed,
        bf16=bf16,
        joint=recipe,
        separate=replace(recipe, epochs=separate_epochs) if separate and trained == "all" else None,
        train=trained,
        heads=made_of,
        distill=distill,
        from_weights=from_weights,
        weights=file,
        normalize=normalized or (None if from_weights else usually_normalized(dataset)),
    )
    training = begin_run(out, setup, dataset, spec, given=given)
    if progress is False and training.needed:
        warnings.warn(training.needed, stacklevel=2)  # who wants no progress has to know that all the same
    with reporting(progress) as tell:
        if training.note:
            tell(Progress("normalization", 1.0, training.note))
        if training.network.note:
            tell(Progress("network", 1.0, training.network.note))
        if training.needed:
            tell(Progress("backbone", 1.0, training.needed))
        tell_training(training.train(runner), tell)
        run = training.finished()
        for sentence in cautions(run):
            tell(Progress("warning", 1.0, sentence))
    return run


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


def _check_light(shift: int | None, flip: bool | None, ray: str | None) -> None:
    """Refuse what light exits alone have no use for."""
    for name, value in (("shift", shift), ("flip", flip)):
        if value:
            problem = (
                "is for images that the network sees again in every epoch; light exits alone see what it makes of each"
            )
            fail(name, problem, "leave it out, or train all of the network")
    if ray is not None:
        fail("ray", "light exits alone take seconds, and are trained here", "leave it out, or train all of the network")


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
