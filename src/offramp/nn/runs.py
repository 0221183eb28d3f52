"""A training run as a folder: what was asked for in `run.json`, and a checkpoint for every network.

The run trains the full configuration (`joint`) and, for the accuracies of EdgeSys'22, for every block i the
network that ends at block i with branch i alone (`separate-i`).
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from offramp.errors import Fault, InputError, refuse
from offramp.nn import catalog, checkpoints, machine
from offramp.nn.checkpoints import Checkpoint
from offramp.nn.data import Dataset
from offramp.nn.network import MultiExitNetwork, Spec, build
from offramp.nn.train import EpochEnd, Recipe, Step, accuracy, fit, place

_FORMAT = "run/1"
JOINT = "joint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a run was asked for.

    backbone, dataset: their names in the catalog.
    seed: of the splits, the first weights and the order of the samples.
    bf16: whether training computes in bfloat16.
    joint: of the full configuration.
    separate: of the networks with one branch; None without them.
    """

    backbone: str
    dataset: str
    seed: int
    bf16: bool
    joint: Recipe
    separate: Recipe | None


@dataclass(frozen=True, slots=True)
class Run:
    """A folder with trained networks."""

    folder: Path
    setup: Setup

    @property
    def spec(self) -> Spec:
        """The backbone."""
        return catalog.backbone(self.setup.backbone)

    @property
    def dataset(self) -> Dataset:
        """The data set, split as it was for training."""
        return catalog.dataset(self.setup.dataset, seed=self.setup.seed)

    def checkpoint(self, name: str) -> Path:
        """Where the network `name` (`joint`, `separate-3`) is kept."""
        return self.folder / f"{name}.safetensors"

    def network(self) -> MultiExitNetwork:
        """The trained full configuration. Raises `InputError` while it is not trained to the end."""
        kept = checkpoints.read(self.checkpoint(JOINT))
        if kept is None or not kept.finished:
            fault = Fault(JOINT, "is not trained to the end", "run the same `offramp train` again: it goes on")
            raise InputError([fault], source=str(self.folder))
        network = build(self.spec, self.dataset, seed=self.setup.seed)
        network.load_state_dict(dict(kept.weights))
        return network.eval()

    def separate_accuracy(self) -> tuple[float, ...] | None:
        """[N] acc_i on the validation split, of the networks trained for branch i alone; None unless all are there."""
        blocks = len(self.spec.make_blocks())
        kept = [checkpoints.read(self.checkpoint(separate(end))) for end in range(1, blocks + 1)]
        finished = [each.accuracy[0] for each in kept if each is not None and each.finished]
        return tuple(finished) if len(finished) == blocks else None


@dataclass(frozen=True, slots=True)
class Started:
    """A network's turn has come.

    images: how many it is shown in all, every epoch counted.
    seen: how many of them before this start.
    """

    network: str
    images: int
    seen: int


@dataclass(frozen=True, slots=True)
class Finished:
    """A network is trained and kept.

    accuracy: of its branches on the validation split, shallowest first.
    seconds: spent on it since it was started; 0 for one that was finished before.
    """

    network: str
    accuracy: tuple[float, ...]
    seconds: float


Event = Started | Step | Finished


def separate(end: int) -> str:
    """Name of the network that ends at block `end`, with the branch there alone."""
    return f"separate-{end}"


def train(folder: Path, setup: Setup) -> Iterator[Event]:
    """Train all networks of a run, in the order joint, separate-1 .. separate-N, as the events are taken.

    What `folder` already holds is not done again: finished networks stay, an unfinished one goes on after the
    last epoch that was kept. Raises `InputError` where `folder` holds a run of another setup.
    """
    spec = catalog.backbone(setup.backbone)
    dataset = catalog.dataset(setup.dataset, seed=setup.seed)
    run = begin(folder, setup)
    yield from train_one(run, JOINT, build(spec, dataset, seed=setup.seed), setup.joint, dataset)
    if setup.separate is not None:
        for end in range(1, len(spec.make_blocks()) + 1):
            network = build(spec, dataset, ends=[end], seed=setup.seed)
            yield from train_one(run, separate(end), network, setup.separate, dataset)


def train_one(run: Run, name: str, network: MultiExitNetwork, recipe: Recipe, dataset: Dataset) -> Iterator[Event]:
    """Train one network of a run as the events are taken, from where it was left off, and keep it under that name."""
    path = run.checkpoint(name)
    kept = checkpoints.read(path)
    epochs_done = 0 if kept is None else kept.epoch
    yield Started(name, recipe.epochs * len(dataset.train), epochs_done * len(dataset.train))
    if kept is not None and kept.finished:
        yield Finished(name, kept.accuracy, 0.0)
        return
    start = None
    if kept is not None:
        network.load_state_dict(dict(kept.weights))
        start = EpochEnd(kept.epoch, kept.momentum)
    place(network)
    began = time.perf_counter()
    for event in fit(network, dataset.train, recipe, seed=run.setup.seed, bf16=run.setup.bf16, start=start):
        if isinstance(event, Step):
            yield event
        else:
            checkpoints.write(path, Checkpoint(event.epoch, network.state_dict(), event.momentum))
    found = accuracy(network, dataset.validation)
    checkpoints.write(path, Checkpoint(recipe.epochs, network.state_dict(), accuracy=found))
    yield Finished(name, found, time.perf_counter() - began)


def begin(folder: Path, setup: Setup) -> Run:
    """Make `folder` a run with that setup, or see that it is one. Raises `InputError` if it is another."""
    if (folder / "run.json").exists():
        there = read(folder).setup
        # Separate networks may be added later, and are kept when they aren't asked for again; the precision of
        # the machine that began is kept as well.
        wanted = replace(setup, separate=setup.separate or there.separate, bf16=there.bf16)
        before, now = asdict(replace(there, separate=there.separate or setup.separate)), asdict(wanted)
        faults = [
            Fault(name, f"was {before[name]!r}, now {now[name]!r}", "use the same options, or another folder")
            for name in before
            if before[name] != now[name]
        ]
        refuse(faults, source=str(folder))
        setup = wanted
    folder.mkdir(parents=True, exist_ok=True)
    document = {"offramp": _FORMAT, **asdict(setup), "versions": machine.versions()}
    unfinished = folder / "run.json.tmp"
    unfinished.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    os.replace(unfinished, folder / "run.json")
    return Run(folder, setup)


def read(folder: Path) -> Run:
    """The run in `folder`. Raises `InputError` where there is none."""
    try:
        document = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return Run(folder, _setup(document))
    except FileNotFoundError as error:
        fault = Fault("run.json", "there is none", "give the folder that `offramp train --out` wrote")
        raise InputError([fault], source=str(folder)) from error
    except (KeyError, TypeError, ValueError) as error:
        fault = Fault("run.json", f"can't be read: {error!r}", "train again into another folder")
        raise InputError([fault], source=str(folder)) from error


def _setup(document: dict[str, Any]) -> Setup:
    if document["offramp"] != _FORMAT:
        raise ValueError(f"the format is {document['offramp']!r}, not {_FORMAT!r}")
    return Setup(
        backbone=document["backbone"],
        dataset=document["dataset"],
        seed=document["seed"],
        bf16=document["bf16"],
        joint=Recipe(**document["joint"]),
        separate=None if document["separate"] is None else Recipe(**document["separate"]),
    )
