"""Networks trained as jobs: each from where it was left off, on this machine or on others, and kept as it goes."""

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from offramp.nn import catalog
from offramp.nn.data import Dataset
from offramp.nn.network import build
from offramp.nn.training import checkpoint
from offramp.nn.training.checkpoint import Checkpoint
from offramp.nn.training.fit import EpochEnd, Recipe, Step, accuracy, fit, place
from offramp.nn.training.runner import Job, Local, Runner, in_turn

# Small networks learn hundreds of batches a second; nobody sees as many steps, and each would have to travel.
_TOLD_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wanted:
    """A network to be trained.

    name: what it is called in events and messages.
    kept_at: its checkpoint, on this machine.
    backbone: its name in the catalog.
    ends: the blocks with a branch, 1-based; the network ends with the last of them. None for every block.
    seed: of the first weights and the order of the samples.
    bf16: whether to compute in bfloat16.
    weights: by name, to begin with; None for new ones.
    """

    name: str
    kept_at: Path
    backbone: str
    ends: tuple[int, ...] | None
    recipe: Recipe
    seed: int
    bf16: bool
    weights: Mapping[str, Tensor] | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """What there is to do.

    networks: how many, finished ones counted.
    images: how many they are shown in all, every epoch of each counted.
    """

    networks: int
    images: int


@dataclass(frozen=True, slots=True)
class Started:
    """A network's turn has come; again, if the worker that had it was lost.

    images: how many it is shown in all, every epoch counted.
    seen: how many of them before this start.
    """

    network: str
    images: int
    seen: int


@dataclass(frozen=True, slots=True)
class Learned:
    """A network has learned some more batches.

    epoch: 1-based.
    images: how many they held.
    loss, accuracy: of the last batch, as in `Step`.
    """

    network: str
    epoch: int
    images: int
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Finished:
    """A network is trained and kept.

    accuracy: of its branches on the validation split, shallowest first.
    seconds: spent on it since it was started; 0 for one that was finished before.
    """

    network: str
    accuracy: tuple[float, ...]
    seconds: float


Event = Planned | Started | Learned | Finished


def here(workers: int | None = None) -> Local:
    """The runner of jobs on this machine: a process for each GPU or, without any, for each core with one thread.

    workers: how many processes; None for as many as there are GPUs, or cores.
    """
    return Local(workers or torch.cuda.device_count() or torch.get_num_threads(), _settle)


def train(wanted: Sequence[Wanted], dataset: Dataset, runner: Runner = in_turn) -> Iterator[Event]:
    """Train networks, as the events are taken; what is already kept of them is not done again.

    Networks with every branch are `wide` jobs. Raises what the runner raises where one can't be trained.
    """
    images = {each.name: each.recipe.epochs * len(dataset.train) for each in wanted}
    yield Planned(len(wanted), sum(images.values()))
    jobs = []
    places = {each.name: each.kept_at for each in wanted}
    for each in wanted:
        kept = checkpoint.read(each.kept_at)
        if kept is not None and kept.finished:
            yield Started(each.name, images[each.name], images[each.name])
            yield Finished(each.name, kept.accuracy, 0.0)
        else:
            jobs.append(Job(each.name, functools.partial(_task, each), wide=each.ends is None))
    for name, event in runner(jobs, dataset) if jobs else ():
        if isinstance(event, Checkpoint):
            checkpoint.write(places[name], event)
        else:
            yield event


def _task(wanted: Wanted) -> "functools.partial[Iterator[Event | Checkpoint]]":
    """Training from the last epoch that is kept, of a data set that is yet to be given."""
    return functools.partial(_learn, wanted, checkpoint.read(wanted.kept_at))


def _learn(wanted: Wanted, kept: Checkpoint | None, dataset: Dataset) -> Iterator[Event | Checkpoint]:
    """Train one network, wherever this is; what is to be kept of it comes among the events."""
    name, recipe = wanted.name, wanted.recipe
    yield Started(name, recipe.epochs * len(dataset.train), (kept.epoch if kept else 0) * len(dataset.train))
    network = build(catalog.backbone(wanted.backbone), dataset, ends=wanted.ends, seed=wanted.seed)
    weights = kept.weights if kept else wanted.weights
    if weights is not None:
        network.load_state_dict(dict(weights))
    place(network)
    start = EpochEnd(kept.epoch, kept.momentum) if kept else None
    began = told = time.perf_counter()
    images = 0
    for event in fit(network, dataset.train, recipe, seed=wanted.seed, bf16=wanted.bf16, start=start):
        if isinstance(event, Step):
            step = event
            images += event.images
        if isinstance(event, EpochEnd) or time.perf_counter() - told > _TOLD_EVERY_S:
            yield Learned(name, step.epoch, images, step.loss, step.accuracy)
            images, told = 0, time.perf_counter()
        if isinstance(event, EpochEnd):
            yield _checkpoint(network, event.epoch, momentum=event.momentum)
    found = accuracy(network, dataset.validation)
    yield _checkpoint(network, recipe.epochs, accuracy=found)
    yield Finished(name, found, time.perf_counter() - began)


def _checkpoint(
    network: nn.Module, epoch: int, *, momentum: Mapping[str, Tensor] | None = None, **found: Any
) -> Checkpoint:
    """The network as it is now, on the CPU, from where it can go to another process."""
    weights = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
    return Checkpoint(epoch, weights, {name: tensor.cpu() for name, tensor in (momentum or {}).items()}, **found)


def _settle(number: int) -> None:
    """Give this process, one of several, its share of the machine."""
    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())
    else:
        torch.set_num_threads(1)
