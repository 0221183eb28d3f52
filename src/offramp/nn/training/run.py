"""A training run as a folder: what was asked for in `run.json`, and a checkpoint for every network.

The run trains the full configuration (`joint`) and, for the accuracies of EdgeSys'22, for every block i the
network that ends at block i with branch i alone (`separate-i`).
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from offramp.errors import Fault, InputError, fail, refuse
from offramp.nn import catalog
from offramp.nn.data import Dataset
from offramp.nn.network import MultiExitNetwork, Spec, build
from offramp.nn.profiling import machine
from offramp.nn.training import checkpoint, jobs
from offramp.nn.training.fit import Recipe
from offramp.nn.training.jobs import Event, Wanted
from offramp.nn.training.runner import Runner, in_turn

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
    image_size: what images are resized to, square; None for as they are.
    """

    backbone: str
    dataset: str
    seed: int
    bf16: bool
    joint: Recipe
    separate: Recipe | None
    image_size: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A folder with trained networks.

    made_of: digests of the images and labels, and of the names and shapes of the network's weights: names of files
        and functions stay the same when what they hold changes.
    """

    folder: Path
    setup: Setup
    made_of: Mapping[str, str]

    @property
    def spec(self) -> Spec:
        """The backbone."""
        return catalog.backbone(self.setup.backbone)

    @property
    def dataset(self) -> Dataset:
        """The data set, split as it was for training."""
        return catalog.dataset(self.setup.dataset, seed=self.setup.seed, size=self.setup.image_size)

    def checkpoint(self, name: str) -> Path:
        """Where the network `name` (`joint`, `separate-3`) is kept."""
        return self.folder / f"{name}.safetensors"

    def wanted(
        self,
        name: str,
        recipe: Recipe,
        *,
        ends: tuple[int, ...] | None = None,
        weights: Mapping[str, Tensor] | None = None,
    ) -> Wanted:
        """A network of this run to be trained and kept as `name`; the rest is as in `Wanted`."""
        setup = self.setup
        return Wanted(
            name=name,
            kept_at=self.checkpoint(name),
            backbone=setup.backbone,
            ends=ends,
            recipe=recipe,
            seed=setup.seed,
            bf16=setup.bf16,
            weights=weights,
        )

    def network(self) -> MultiExitNetwork:
        """The trained full configuration.

        Raises `InputError` while it is not trained to the end, or where data or network are no longer what they were.
        """
        kept = checkpoint.read(self.checkpoint(JOINT))
        if kept is None or not kept.finished:
            fault = Fault(JOINT, "is not trained to the end", "run the same `offramp train` again: it goes on")
            raise InputError([fault], source=str(self.folder))
        dataset = self.dataset
        network = build(self.spec, dataset, seed=self.setup.seed)
        refuse(_changes(self.made_of, fingerprints(dataset, network)), source=str(self.folder))
        network.load_state_dict(dict(kept.weights))
        return network.eval()

    def separate_accuracy(self) -> tuple[float, ...] | None:
        """[N] acc_i on the validation split, of the networks trained for branch i alone; None unless all are there."""
        blocks = len(self.spec.names(self.dataset))
        kept = [checkpoint.read(self.checkpoint(separate_name(end))) for end in range(1, blocks + 1)]
        finished = [each.accuracy[0] for each in kept if each is not None and each.finished]
        return tuple(finished) if len(finished) == blocks else None


def separate_name(end: int) -> str:
    """Name of the network that ends at block `end`, with the branch there alone."""
    return f"separate-{end}"


def train_run(folder: Path, setup: Setup, runner: Runner = in_turn) -> Iterator[Event]:
    """Train all networks of a run, joint and separate-1 .. separate-N, as the events are taken.

    What `folder` already holds is not done again: finished networks stay, an unfinished one goes on after the
    last epoch that was kept. Raises `InputError` where `folder` holds a run of another setup, other data or another
    network, and what the runner raises where a network can't be trained.
    """
    dataset = catalog.dataset(setup.dataset, seed=setup.seed, size=setup.image_size)
    network = build(catalog.backbone(setup.backbone), dataset, seed=setup.seed)
    blocks = len(network.blocks)
    run = begin_run(folder, setup, fingerprints(dataset, network))
    wanted = [run.wanted(JOINT, setup.joint)]
    if setup.separate is not None:
        wanted += [run.wanted(separate_name(end), setup.separate, ends=(end,)) for end in range(1, blocks + 1)]
    yield from jobs.train(wanted, dataset, runner)


def fingerprints(dataset: Dataset, network: MultiExitNetwork) -> dict[str, str]:
    """What a run is made of, as `Run` keeps it."""
    data = hashlib.sha256()
    for split in (dataset.train, dataset.validation, dataset.test):
        data.update(f"{split.images.shape}".encode())
        data.update(np.ascontiguousarray(split.images))
        data.update(np.ascontiguousarray(split.labels))
    shapes = [(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()]
    return {"data": data.hexdigest(), "network": hashlib.sha256(repr(shapes).encode()).hexdigest()}


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Fault]:
    for name, digest in before.items():
        if now[name] != digest:
            yield Fault(name, "is not what it was when this run began", "train into another folder")


def begin_run(folder: Path, setup: Setup, made_of: Mapping[str, str]) -> Run:
    """Make `folder` a run with that setup, or see that it is one. Raises `InputError` if it is another.

    made_of: of the data and the network that the setup means now.
    """
    if (folder / "run.json").exists():
        kept = read_run(folder)
        there = kept.setup
        # Separate networks may be added later, and are kept when they aren't asked for again; the precision of
        # the machine that began is kept as well.
        wanted = replace(setup, separate=setup.separate or there.separate, bf16=there.bf16)
        before, now = (_flat(each) for each in (replace(there, separate=there.separate or setup.separate), wanted))
        faults = [
            Fault(name, f"was {before[name]!r}, now {now[name]!r}", "use the same options, or another folder")
            for name in before
            if before[name] != now[name]
        ]
        refuse(faults or _changes(kept.made_of, made_of), source=str(folder))
        setup = wanted
    document = {"offramp": _FORMAT, **asdict(setup), "made_of": made_of, "versions": machine.versions()}
    unfinished = folder / "run.json.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        os.replace(unfinished, folder / "run.json")
    except OSError as error:
        fail(str(folder), f"can't be written: {error.strerror}", "give a folder, new or of a run, that can be")
    return Run(folder, setup, made_of)


def _flat(setup: Setup) -> dict[str, Any]:
    """What was asked for by name, recipes entry by entry: `joint.epochs`."""
    flat: dict[str, Any] = {}
    for name, value in asdict(setup).items():
        flat |= {f"{name}.{entry}": each for entry, each in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def read_run(folder: Path) -> Run:
    """The run in `folder`. Raises `InputError` where there is none."""
    try:
        document = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return Run(folder, _setup(document), dict(document["made_of"]))
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
        image_size=document.get("image_size"),
    )
