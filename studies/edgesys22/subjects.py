"""What the study trains: the paper's three pairs of a network and a data set."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from offramp.nn.data import Dataset
from offramp.nn.datasets import read_data
from offramp.nn.network import Spec
from offramp.nn.training.fit import Recipe
from offramp.nn.training.setup import Setup

SEED = 0

# Inception V3 learns on a part of CIFAR-10, so that a few hours of CPU are enough for epochs worth the name.
_SUBSET = {"train": 10_000, "val": 2_000, "test": 2_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How a budget is divided: joint training, networks trained for each branch alone, final models of figure 3."""

    joint: float
    separate: float
    final: float = 0.0

    @property
    def whole(self) -> float:
        """Their sum."""
        return self.joint + self.separate + self.final


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A network and a data set.

    key: of folders and files.
    title: for people.
    data: as `offramp train --data` takes it.
    image_size: what images are resized to, square; None for as they are.
    learning_rate: the highest of the schedule.
    joint_rate: that of the joint network, where the losses of all branches add up; None for the same.
    share: of the budget, beside the other subjects' shares.
    repeats: how often each block is timed, and four times as often as each partition.
    """

    key: str
    title: str
    backbone: str
    data: str
    image_size: int | None = None
    batch_size: int
    learning_rate: float
    joint_rate: float | None = None
    share: Share
    repeats: int = 800

    def dataset(self) -> Dataset:
        """Its images."""
        return read_data(self.data, seed=SEED, size=self.image_size)

    def setup(self, spec: Spec, dataset: Dataset, *, joint: int, separate: int, bf16: bool) -> Setup:
        """The training run with so many epochs each."""
        alone = Recipe(
            epochs=separate,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            shift=dataset.augmentation.shift,
            flip=True,
        )
        return Setup.of(
            spec,
            dataset,
            seed=SEED,
            bf16=bf16,
            joint=replace(alone, epochs=joint, learning_rate=self.joint_rate or self.learning_rate),
            separate=alone,
        )


def subjects(*, cifar10: Path, catdog: Path | None, inception: bool, work: Path) -> tuple[Subject, ...]:
    """The study's subjects, the one with figure 3 first.

    cifar10: folder with the binary batches.
    catdog: folder with a folder per class; None to leave cats and dogs out.
    inception: False to leave Inception V3 out.
    work: where the part of CIFAR-10 that Inception V3 learns is kept.
    """
    found = [_resnet20_cifar10(cifar10)]
    if catdog is not None:
        found.append(_resnet20_catdog(catdog))
    if inception:
        found.append(_inceptionv3_cifar10(cifar10, work))
    return tuple(found)


def _resnet20_cifar10(cifar10: Path) -> Subject:
    return Subject(
        key="resnet20-cifar10",
        title="ResNet-20 on CIFAR-10",
        backbone="resnet20",
        data=str(cifar10),
        batch_size=128,
        learning_rate=0.1,
        share=Share(joint=0.12, separate=0.24, final=0.25),
    )


def _resnet20_catdog(catdog: Path) -> Subject:
    return Subject(
        key="resnet20-catdog",
        title="ResNet-20 on cats and dogs, 64x64",
        backbone="resnet20",
        data=str(catdog),
        batch_size=64,
        learning_rate=0.05,
        share=Share(joint=0.06, separate=0.10),
    )


def _inceptionv3_cifar10(cifar10: Path, work: Path) -> Subject:
    """On images of 75x75, the least that its stem was made for."""
    return Subject(
        key="inceptionv3-cifar10",
        title=f"Inception V3 on {_SUBSET['train']:,} images of CIFAR-10, enlarged to 75x75",
        backbone="inceptionv3",
        data=str(_part_of(cifar10, work / "cifar10-part.npz")),
        image_size=75,
        batch_size=64,
        learning_rate=0.02,
        joint_rate=0.004,  # with sixteen losses it hardly learns at the others' rate
        share=Share(joint=0.07, separate=0.16),
        repeats=200,
    )


def _part_of(cifar10: Path, path: Path) -> Path:
    """The part of CIFAR-10, as an archive at `path`: the first images of each split."""
    if not path.exists():
        whole = read_data(cifar10, seed=SEED)
        splits = {"train": whole.train, "val": whole.validation, "test": whole.test}
        arrays = {}
        for name, count in _SUBSET.items():
            arrays[f"{name}_images"] = splits[name].images[:count]
            arrays[f"{name}_labels"] = splits[name].labels[:count]
        np.savez(path, **arrays)
    return path
