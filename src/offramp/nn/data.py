"""Data sets in memory, split once and for all by seed, and the batches that training sees."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

from offramp.core import checks

VALIDATION_SHARE = 0.25
TEST_SHARE = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Some samples of a data set. S is their number.

    images: [S, C, H, W] uint8, as a sensor would hand them over.
    labels: [S] the true classes.
    members: [S] the samples' places in the whole data set.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    members: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name, dtype, ndim in (("images", np.uint8, 4), ("labels", np.int64, 1), ("members", np.int64, 1)):
            object.__setattr__(self, name, checks.frozen_array(getattr(self, name), dtype, ndim, name))

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A classified image data set.

    classes: how many.
    train: what the weights are fitted to.
    validation: what the exit table is made of; no training sees it.
    test: held out from training and from planning.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return self.train.images.shape[1:]

    @property
    def mean(self) -> NDArray[np.float64]:
        """[C] mean pixel of the training split, in 0..255."""
        return self.train.images.mean(axis=(0, 2, 3))

    @property
    def deviation(self) -> NDArray[np.float64]:
        """[C] standard deviation of the training split's pixels, in 0..255."""
        return self.train.images.std(axis=(0, 2, 3))


def digits(*, seed: int, size: int = 32) -> Dataset:
    """1797 handwritten digits, 8x8 gray, enlarged to size x size with three equal channels.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998, as scikit-learn ships it.
    """
    bunch = load_digits()
    gray = torch.from_numpy(bunch.images)[:, None] * (255 / 16)
    large = F.interpolate(gray, size=(size, size), mode="bilinear").round().to(torch.uint8)
    return split("digits", large.expand(-1, 3, -1, -1).numpy(), bunch.target, seed=seed)


def split(name: str, images: NDArray[np.uint8], labels: NDArray[np.int64], *, seed: int) -> Dataset:
    """A data set of 60 % training, 25 % validation and 15 % test samples, every class in equal shares."""
    members = np.arange(len(labels))
    rest, test = train_test_split(members, test_size=TEST_SHARE, stratify=labels, random_state=seed)
    train, validation = train_test_split(
        rest, test_size=VALIDATION_SHARE / (1 - TEST_SHARE), stratify=labels[rest], random_state=seed
    )
    parts = (Split(images[part], labels[part], part) for part in map(np.sort, (train, validation, test)))
    return Dataset(name, len(np.unique(labels)), *parts)


def batches(
    images: Tensor, labels: Tensor, *, batch_size: int, shift: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """All samples once, in random order, each moved by up to `shift` pixels each way; what comes in is black.

    images: [S, C, H, W]; the batches are channels-last.
    labels: [S].
    """
    height, width = images.shape[2:]
    padded = F.pad(images, (shift, shift, shift, shift))
    order = torch.from_numpy(rng.permutation(len(labels))).to(images.device)
    corners = torch.from_numpy(rng.integers(0, 2 * shift + 1, (2, len(labels), 1))).to(images.device)
    rows = corners[0] + torch.arange(height, device=images.device)
    columns = corners[1] + torch.arange(width, device=images.device)
    for chosen in order.split(batch_size):
        moved = padded[chosen[:, None, None], :, rows[chosen][:, :, None], columns[chosen][:, None, :]]
        yield moved.permute(0, 3, 1, 2), labels[chosen]
