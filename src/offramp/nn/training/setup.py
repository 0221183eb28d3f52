"""What a run was asked for and what it is made of, as `run.json` in its folder keeps it."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from offramp.errors import Fault, InputError, refuse
from offramp.files.maps import pieces
from offramp.nn.data import Dataset, Source
from offramp.nn.network import MultiExitNetwork, Spec
from offramp.nn.normalization import DATA as DATA_STATISTICS
from offramp.nn.profiling import machine
from offramp.nn.training.fit import Recipe

# The first knew none of what a setup has by default.
_FORMAT, _FORMATS = "run/2", ("run/1", "run/2")
WEIGHTS = "weights"
"""By which name a run keeps the digest of the weights that the backbone was given with."""
DATA = "data.npz"
"""Where a run keeps data that were only in memory."""

Trained: TypeAlias = Literal["all", "exits"]
"""What is trained: all of the network, or its exits alone, and the backbone stays as it was given."""

Heads: TypeAlias = Literal["own", "light"]
"""What branches are: the backbone's own last layers, or small ones, `nn.heads`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a run was asked for.

    backbone: its name.
    dataset: what `read_data` reads; `data.npz` for a file of that name in the run's folder.
    seed: of the first weights and the order of the samples.
    bf16: whether training computes in bfloat16.
    joint: of the full configuration.
    separate: of the networks with one branch; None without them.
    image_size: what images are resized to, square; None for as they are.
    data_seed: of the splits, where it is another than `seed`.
    train, heads: what is trained, and what branches are.
    distill: whether exits also learn from what the last one says.
    from_weights: whether the weights that the backbone comes with, or is given, are worth keeping.
    weights: the file that they are from; None for those that it comes with. The run keeps a copy.
    given_accuracy: of the network as it was given, on the validation split; None for one that began with new weights.
    normalize: how images are normalized, as `normalization_text` writes it; None while that is to be found out.
    """

    backbone: str
    dataset: str
    seed: int
    bf16: bool
    joint: Recipe
    separate: Recipe | None
    image_size: int | None = None
    data_seed: int | None = None
    train: Trained = "all"
    heads: Heads = "own"
    distill: bool = False
    from_weights: bool = False
    weights: str | None = None
    normalize: str | None = DATA_STATISTICS
    given_accuracy: float | None = None

    @classmethod
    def of(
        cls,
        spec: Spec,
        dataset: Dataset,
        *,
        seed: int,
        bf16: bool,
        joint: Recipe,
        separate: Recipe | None,
        train: Trained = "all",
        heads: Heads = "own",
        distill: bool = False,
        from_weights: bool = False,
        weights: Path | None = None,
        normalize: str | None = DATA_STATISTICS,
    ) -> "Setup":
        """The setup of a run that trains networks of that backbone on that data set."""
        source = dataset.source or Source(DATA, seed, None)
        return cls(
            backbone=spec.name,
            dataset=source.name,
            seed=seed,
            bf16=bf16,
            joint=joint,
            separate=separate,
            image_size=source.size,
            data_seed=None if source.seed == seed else source.seed,
            train=train,
            heads=heads,
            distill=distill,
            from_weights=from_weights,
            weights=None if weights is None else str(weights.resolve()),
            normalize=normalize,
        )


def read_setup(folder: Path) -> Setup:
    """What the run in `folder` was asked for, whether or not it is trained. Raises `InputError` where there is none."""
    return read_record(folder)[0]


def read_record(folder: Path) -> tuple[Setup, dict[str, str]]:
    """What run.json says: the setup, and what the run is made of. Raises `InputError` where there is none."""
    try:
        document = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return _setup(document), dict(document["made_of"])
    except FileNotFoundError as error:
        fault = Fault("run.json", "there is none", "give the folder that `offramp train --out` wrote")
        raise InputError([fault], source=str(folder)) from error
    except (KeyError, TypeError, ValueError) as error:
        fault = Fault("run.json", f"can't be read: {error!r}", "train again into another folder")
        raise InputError([fault], source=str(folder)) from error


def write_record(folder: Path, setup: Setup, made_of: Mapping[str, str]) -> None:
    """Write run.json into `folder`, whole or not at all. Raises `OSError` where it can't be written."""
    document = {"offramp": _FORMAT, **asdict(setup), "made_of": made_of, "versions": machine.versions()}
    unfinished = folder / "run.json.tmp"
    unfinished.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    os.replace(unfinished, folder / "run.json")


def same_run(folder: Path, setup: Setup, made_of: Mapping[str, str]) -> Setup:
    """The setup with which a run goes on. Raises `InputError` where the folder holds another run."""
    before, made_of_before = read_record(folder)
    # Separate networks may be added later, and are kept when they aren't asked for again; the precision of
    # the machine that began is kept as well.
    after = replace(setup, separate=setup.separate or before.separate, bf16=before.bf16)
    # Weights are known by their digest: their file may have been moved.
    after = replace(after, weights=before.weights if setup.weights and before.weights else setup.weights)
    # Sums are rounded differently on another machine.
    after = replace(after, given_accuracy=before.given_accuracy)
    kept, asked = _flat(replace(before, separate=before.separate or setup.separate)), _flat(after)
    faults = [
        Fault(name, f"was {kept[name]!r}, now {asked[name]!r}", "use the same options, or another folder")
        for name in kept
        if kept[name] != asked[name]
    ]
    refuse(faults or changes(made_of_before, made_of), source=str(folder))
    return after


def fingerprints(dataset: Dataset, network: MultiExitNetwork, *, weights: bool = False) -> dict[str, str]:
    """What a run is made of, as `Run` keeps it; with the weights themselves, where they matter."""
    data = hashlib.sha256()
    for split in (dataset.train, dataset.validation, dataset.test):
        kind = "" if split.images.dtype == np.uint8 else split.images.dtype.name
        data.update(f"{split.images.shape}{kind}".encode())
        for piece in pieces(split.images):
            data.update(np.ascontiguousarray(split.images[piece]).reshape(-1).view(np.uint8).data)
        data.update(np.ascontiguousarray(split.labels).data)
    shapes = [(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()]
    made_of = {"data": data.hexdigest(), "network": hashlib.sha256(repr(shapes).encode()).hexdigest()}
    if weights:
        content = hashlib.sha256()
        for name, tensor in network.part(network.ends[-1:]).state_dict().items():
            content.update(name.encode())
            content.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
        made_of[WEIGHTS] = content.hexdigest()
    return made_of


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Fault]:
    """A fault for each thing that a run is made of and that has another digest now; as far as there are two."""
    for name, digest in before.items():
        if now.get(name, digest) != digest:
            yield Fault(name, "is not what it was when this run began", "train into another folder")


def _flat(setup: Setup) -> dict[str, Any]:
    """What was asked for by name, recipes entry by entry: `joint.epochs`."""
    flat: dict[str, Any] = {}
    for name, value in asdict(setup).items():
        if isinstance(value, dict):
            flat |= {f"{name}.{entry}": setting for entry, setting in value.items()}
        else:
            flat[name] = value
    return flat


def _setup(document: dict[str, Any]) -> Setup:
    if document["offramp"] not in _FORMATS:
        raise ValueError(f"the format is {document['offramp']!r}, not {_FORMAT!r}")
    return Setup(
        backbone=document["backbone"],
        dataset=document["dataset"],
        seed=document["seed"],
        bf16=document["bf16"],
        joint=Recipe(**document["joint"]),
        separate=None if document["separate"] is None else Recipe(**document["separate"]),
        image_size=document.get("image_size"),
        data_seed=document.get("data_seed"),
        train=document.get("train", "all"),
        heads=document.get("heads", "own"),
        distill=document.get("distill", False),
        from_weights=document.get("from_weights", False),
        weights=document.get("weights"),
        normalize=document.get("normalize", DATA_STATISTICS),
        given_accuracy=document.get("given_accuracy"),
    )
