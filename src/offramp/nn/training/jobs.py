"""Networks trained as jobs: each from its last checkpoint, on this machine or on others."""

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from offramp.errors import fail
from offramp.nn.data import Dataset
from offramp.nn.heads import lightest
from offramp.nn.inference import accuracy
from offramp.nn.network import MultiExitNetwork, Spec, build
from offramp.nn.training import checkpoint
from offramp.nn.training.checkpoint import Checkpoint
from offramp.nn.training.fit import EpochEnd, Recipe, Step, fit, place
from offramp.nn.training.runner import Job, Local, Runner, in_turn

# Small networks learn hundreds of batches a second; nobody sees as many steps, and each would have to travel.
_TOLD_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkToTrain:
    """A network to be trained.

    name: what it is called in events and messages.
    kept_at: its checkpoint, on this machine.
    spec: its backbone.
    ends: the blocks with a branch, 1-based; the network ends with the last of them. None for every block.
    seed: of the first weights and the order of the samples.
    bf16: whether to compute in bfloat16.
    weights: by name, to begin with; None for new ones.
    normalize: how samples are normalized, as `normalization_text` writes it; None for what is usual.
    light: whether branches but the backbone's own are pooling and a linear layer.
    frozen: whether blocks and the backbone's own last layers stay as `weights` has them, statistics and all.
    patience: after so many epochs without a better mean accuracy of the branches on the validation split training
        ends, and the best epoch's weights are taken; None to train to the end.
    """

    name: str
    kept_at: Path
    spec: Spec
    ends: tuple[int, ...] | None
    recipe: Recipe
    seed: int
    bf16: bool
    weights: Mapping[str, Tensor] | None = None
    normalize: str | None = None
    light: bool = False
    frozen: bool = False
    patience: int | None = None


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


def local_runner(workers: int | None = None) -> Local:
    """The runner of jobs on this machine: a process for each GPU or, without any, for each core with one thread.

    workers: how many processes; None for as many as there are GPUs, or cores.
    """
    return Local(workers or torch.cuda.device_count() or torch.get_num_threads(), _settle)


def train(networks: Sequence[NetworkToTrain], dataset: Dataset, runner: Runner = in_turn) -> Iterator[Event]:
    """Train networks, as the events are taken; what is already kept of them is not done again.

    Networks with every branch are `wide` jobs. Raises `InputError` at once where the runner would need other
    processes to make a network that is made from a module in this one; later what the runner raises where a network
    can't be trained.
    """
    if runner is not in_turn and not all(network.spec.portable for network in networks):
        problem = "needs processes that can't make a network from a module in this one"
        fail("runner", problem, "train in turn, or name a function that makes it: package.module:factory")
    return _trained(networks, dataset, runner)


def _trained(networks: Sequence[NetworkToTrain], dataset: Dataset, runner: Runner) -> Iterator[Event]:
    images = {network.name: network.recipe.epochs * len(dataset.train) for network in networks}
    yield Planned(len(networks), sum(images.values()))
    jobs = []
    places = {network.name: network.kept_at for network in networks}
    for network in networks:
        finished = checkpoint.finished_accuracy(network.kept_at)
        if finished is not None:
            yield Started(network.name, images[network.name], images[network.name])
            yield Finished(network.name, finished, 0.0)
        else:
            jobs.append(Job(network.name, functools.partial(_task, network), wide=network.ends is None))
    for name, event in runner(jobs, dataset) if jobs else ():
        if isinstance(event, Checkpoint):
            checkpoint.write(places[name], event)
        else:
            yield event


def _task(network: NetworkToTrain) -> "functools.partial[Iterator[Event | Checkpoint]]":
    """Training from the last epoch that is kept, of a data set that is yet to be given."""
    return functools.partial(_learn, network, checkpoint.read(network.kept_at))


def _learn(to_train: NetworkToTrain, kept: Checkpoint | None, dataset: Dataset) -> Iterator[Event | Checkpoint]:
    """Train one network, in whatever process; what is to be kept of it comes among the events."""
    name, recipe = to_train.name, to_train.recipe
    yield Started(name, recipe.epochs * len(dataset.train), (kept.epoch if kept else 0) * len(dataset.train))
    network = build(
        to_train.spec,
        dataset,
        ends=to_train.ends,
        seed=to_train.seed,
        normalize=to_train.normalize,
        head=lightest if to_train.light else None,
    )
    weights = kept.weights if kept else to_train.weights
    if weights is not None:
        network.load_state_dict(dict(weights))
    if to_train.frozen:
        network.blocks.requires_grad_(False)
        network.branches[-1].requires_grad_(False)
    place(network)
    start = EpochEnd(kept.epoch, kept.momentum) if kept else None
    best = _Best.of(kept)
    began = told = time.perf_counter()
    images = 0
    for event in (
        ()
        if best.is_old(to_train, start)
        else fit(network, dataset.train, recipe, seed=to_train.seed, bf16=to_train.bf16, start=start)
    ):
        if isinstance(event, Step):
            step = event
            images += event.images
        if isinstance(event, EpochEnd) or time.perf_counter() - told > _TOLD_EVERY_S:
            yield Learned(name, step.epoch, images, step.loss, step.accuracy)
            images, told = 0, time.perf_counter()
        if isinstance(event, EpochEnd):
            if to_train.patience is not None:
                best = best.or_now(network, event.epoch, dataset)
            yield Checkpoint(
                event.epoch,
                _on_cpu(network.state_dict()),
                _on_cpu(event.momentum),
                best=best.weights,
                best_epoch=best.epoch,
                best_score=best.score,
            )
            if best.is_old(to_train, event):
                break
    if best.weights:
        network.load_state_dict(dict(best.weights))
    achieved = accuracy(network, dataset.validation)
    yield Checkpoint(recipe.epochs, _on_cpu(network.state_dict()), accuracy=achieved)
    yield Finished(name, achieved, time.perf_counter() - began)


@dataclass(frozen=True, slots=True, eq=False)
class _Best:
    """The best epoch so far, by the mean accuracy of the branches on the validation split; epoch 0 for none."""

    epoch: int
    score: float
    weights: Mapping[str, Tensor]

    @classmethod
    def of(cls, kept: Checkpoint | None) -> "_Best":
        return cls(kept.best_epoch, kept.best_score, kept.best) if kept else cls(0, 0.0, {})

    def or_now(self, network: MultiExitNetwork, epoch: int, dataset: Dataset) -> "_Best":
        """The network as it is after that epoch where it is better, or else what there was."""
        achieved = accuracy(network, dataset.validation)
        score = sum(achieved) / len(achieved)
        if self.weights and score <= self.score:
            return self
        return _Best(epoch, score, {name: tensor.clone() for name, tensor in _on_cpu(network.state_dict()).items()})

    def is_old(self, to_train: NetworkToTrain, end: EpochEnd | None) -> bool:
        """Whether patience is at its end after that epoch."""
        return to_train.patience is not None and end is not None and end.epoch - self.epoch >= to_train.patience


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """From where they can be sent to another process."""
    return {name: tensor.cpu() for name, tensor in tensors.items()}


def _settle(number: int) -> None:
    """Give this process, one of several, its share of the machine."""
    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())
    else:
        torch.set_num_threads(1)
