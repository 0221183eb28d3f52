"""Data sets, split once and for all by seed, and the batches that training sees."""

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from offramp.core import checks
from offramp.core.checks import FloatArray
from offramp.errors import fail
from offramp.files.arrays import Samples, are_pictures, as_samples
from offramp.files.maps import as_array, chosen, pieces
from offramp.files.parts import Parts
from offramp.nn.inputs import at, torch_type

VALIDATION_SHARE = 0.25
TEST_SHARE = 0.15
# So many place an accuracy of 90 % within 0.4 points (one standard deviation); the rest is worth more in training.
MOST_VALIDATION = 5000
# Fewer of a class could not be in all three splits.
_FEWEST_PER_CLASS = 4
# scikit-learn draws with numpy's older generator, whose seeds have 32 bits.
_SEEDS = 1 << 32


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What may be done to an image in training without making it another class.

    shift: pixels it may be moved each way, which is to crop it from a border of so many black pixels.
    flip: whether it may be mirrored left to right.
    """

    shift: int
    flip: bool


@dataclass(frozen=True, slots=True)
class Source:
    """What a data set was read from, enough to read it again.

    name: as `read_data` takes it; a path in full.
    seed: of the splits.
    size: what images are resized to, square; None for as they are.
    """

    name: str
    seed: int
    size: int | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Split:
    """Some samples of a data set. S is their number. `split[:100]` is a split as well.

    images: [S, ...] as a sensor would hand them over: images [C, H, W] uint8, or arrays of numbers of any rank.
    labels: [S] the true classes.
    members: [S] the samples' places in the whole data set.
    """

    images: Samples
    labels: NDArray[np.int64]
    members: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name in ("labels", "members"):
            object.__setattr__(self, name, checks.frozen_array(getattr(self, name), np.int64, 1, name))
        # A copy only where it has to be: they may be larger than memory.
        images = as_samples("images", as_array(self.images)).view()
        images.setflags(write=False)
        object.__setattr__(self, "images", images)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, places: slice) -> "Split":
        return Split(self.images[places], self.labels[places], self.members[places])

    def __repr__(self) -> str:
        return f"Split({len(self)} samples; {_by(self.images.shape[1:])})"


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A classified data set, of images or of any other samples.

    classes: how many.
    train: what the weights are fitted to.
    validation: what the exit table is made of; no training sees it.
    test: held out from training and from planning.
    augmentation: what is usual in training on such images.
    class_names: by class; where none are known, the classes' numbers.
    source: what it was read from; None where it has only ever been in memory.
    parts: what a sample is packed of, where it has several inputs.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split
    augmentation: Augmentation
    class_names: tuple[str, ...]
    source: Source | None = None
    parts: Parts = ()

    def __repr__(self) -> str:
        splits = f"{len(self.train)} train, {len(self.validation)} validation, {len(self.test)} test"
        return f"Dataset({self.name}: {splits}; {self.classes} classes; {_by(self.image_shape)})"

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(C, H, W) of images, else the shape of a sample."""
        return self.train.images.shape[1:]

    @property
    def input_type(self) -> torch.dtype:
        """Of the numbers in a sample."""
        return torch_type(self.train.images)

    @property
    def pictures(self) -> bool:
        """Whether samples are images of 8 bits."""
        return are_pictures(self.train.images)

    @property
    def mean(self) -> FloatArray:
        """[C] mean of the training split, by the first axis of a sample: of images in 0..255."""
        return self._statistics[0]

    @property
    def deviation(self) -> FloatArray:
        """[C] standard deviation of the training split, by the first axis of a sample: of images in 0..255.

        1 for a channel that is the same everywhere, as blue may be: samples are divided by it, and 0/0 is no number.
        """
        return self._statistics[1]

    @functools.cached_property
    def _statistics(self) -> tuple[FloatArray, FloatArray]:
        """Mean and deviation, computed when they are first asked for: they take seconds for a large data set."""
        images = self.train.images
        mean, deviation = _pixel_statistics(images.view(np.uint8)) if self.pictures else _statistics(images)
        deviation = np.where(deviation <= 1e-12 * np.abs(mean), 1, deviation)
        for statistic in (mean, deviation):
            statistic.setflags(write=False)
        return mean, deviation


def split(
    name: str,
    images: Samples | Sequence[Samples],
    labels: NDArray[np.int64],
    *,
    seed: int,
    validation: int = 0,
    test: int = 0,
    augmentation: Augmentation | None = None,
    class_names: Iterable[str] | None = None,
    parts: Parts = (),
) -> Dataset:
    """A data set of three splits, every class in equal shares in those that are drawn here.

    images: [S, C, H, W] uint8, or samples of any other shape and type; or several such arrays, one after the other.
        Where they are in files, or too large together, the splits' are.
    labels: [S] the true classes, 0 and up, none left out.
    seed: of what is drawn.
    validation, test: how many samples were published as such. The test samples are the last in `images`, the
        validation samples stand before them. What was not published is drawn from the others: 15 % of them for the
        test, and 25 % of them, but at most 5,000, for validation.
    augmentation: None for a shift of an eighth of the height and no mirroring of images, and nothing of other samples.
    class_names: by class; None for the classes' numbers.
    parts: what a sample is packed of, where it has several inputs.
    Raises `InputError` where a class has too few samples for that, there is one class alone, or the seed is none of
    32 bits and something is drawn.
    """
    if _begin_at_one(labels) and (class_names is None or len(class_names := tuple(class_names)) == labels.max()):
        fail(
            name, f"has labels from 1 to {labels.max()}: labels begin at 1, and classes at 0", "subtract one from each"
        )
    # A name for each would be made below, and one label may say that there are billions.
    if class_names is None and (largest := labels.max(initial=-1)) >= len(labels):
        fail(
            name,
            f"has {len(labels)} samples and one of class {largest}",
            "count the classes from 0, with none left out",
        )
    names = tuple(map(str, range(labels.max(initial=-1) + 1)) if class_names is None else class_names)
    classes = len(names)
    members = np.arange(len(labels))
    published, rest = members[len(members) - test :], members[: len(members) - test]
    kept, rest = rest[len(rest) - validation :], rest[: len(rest) - validation]
    for label in labels[(labels < 0) | (labels >= classes)][:1]:
        fail(name, f"has a sample of class {label}, of {classes}", "label every sample, and count the classes from 0")
    _check_classes(name, labels[rest], names, fewest=1 if validation and test else _FEWEST_PER_CLASS)
    undivided = len(rest)
    if not test:
        rest, published = _draw(rest, labels, math.ceil(TEST_SHARE * len(rest)), classes, seed)
    if not validation:
        count = min(math.ceil(VALIDATION_SHARE * undivided), MOST_VALIDATION)
        rest, kept = _draw(rest, labels, count, classes, seed)
    arrays = [images] if isinstance(images, np.ndarray) else [*images]
    train, held_out, tested = (
        Split(chosen(name, arrays, places), labels[places], places) for places in map(np.sort, (rest, kept, published))
    )
    shift = arrays[0].shape[2] // 8 if are_pictures(arrays[0]) else 0
    augmentation = augmentation or Augmentation(shift, flip=False)
    return Dataset(name, classes, train, held_out, tested, augmentation, names, parts=parts)


def batches(
    images: Tensor | Samples, labels: Tensor, *, batch_size: int, augmentation: Augmentation, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """All samples once, in random order, each moved and mirrored by chance; what comes in is black.

    A sample that would be left alone goes with the batch before: normalization needs two to tell them apart.

    images: [S, C, H, W]; the batches are channels-last. Or any other samples [S, ...], which stay as they are.
    labels: [S]; the batches are on their device.
    """
    order = torch.from_numpy(rng.permutation(len(labels))).to(labels.device)
    *fit, last = torch.split(order, batch_size)
    if fit and len(last) == 1:
        last = torch.cat([fit.pop(), last])
    if images.ndim != 4 or augmentation == Augmentation(0, flip=False):
        for places in (*fit, last):
            few = at(images, places)
            yield few.contiguous(memory_format=torch.channels_last) if few.ndim == 4 else few, labels[places]
        return
    height, width = images.shape[2:]
    shift = augmentation.shift
    corners = torch.from_numpy(rng.integers(0, 2 * shift + 1, (2, len(labels), 1))).to(labels.device)
    mirrored = torch.from_numpy(rng.random((len(labels), 1)) < 0.5).to(labels.device) if augmentation.flip else None
    for places in (*fit, last):
        padded = F.pad(at(images, places), (shift, shift, shift, shift))
        rows = corners[0, places] + torch.arange(height, device=labels.device)
        columns = corners[1, places] + torch.arange(width, device=labels.device)
        if mirrored is not None:
            columns = torch.where(mirrored[places], columns.flip(1), columns)
        batch = torch.arange(len(places), device=labels.device)
        moved = padded[batch[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        yield moved.permute(0, 3, 1, 2), labels[places]


def _begin_at_one(labels: NDArray[np.int64]) -> bool:
    """Whether the classes used are 1 and up, with none left out."""
    used = np.unique(labels)
    return len(used) > 1 and bool(np.array_equal(used, np.arange(1, len(used) + 1)))


def _check_classes(name: str, labels: NDArray[np.int64], names: Sequence[str], *, fewest: int) -> None:
    """There are two classes at least, and so many samples of each."""
    if len(names) < 2:
        fail(name, f"has {len(names)} classes", "give samples of two at least")
    counts = np.bincount(labels, minlength=len(names))
    rare = int(counts.argmin())
    if counts[rare] < fewest:
        problem = f"has {counts[rare]} samples of class {names[rare]} to train on"
        fail(name, problem, f"give at least {fewest} of each class")


def _draw(
    members: NDArray[np.int64], labels: NDArray[np.int64], count: int, classes: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The others, and `count` members (or one per class, if that is more), every class in equal shares.

    Raises `InputError` for a seed that scikit-learn does not take.
    """
    if not 0 <= seed < _SEEDS:
        fail("seed", f"{seed} is out of range", f"give one from 0 to {_SEEDS - 1}")
    # Importing it takes longer than importing PyTorch, and processes that are handed a data set need it not.
    from sklearn.model_selection import train_test_split

    others, drawn = train_test_split(
        members, test_size=max(count, classes), stratify=labels[members], random_state=seed
    )
    return others, drawn


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _pixel_statistics(images: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
    """[C] mean and deviation of 8-bit images [S, C, H, W]."""
    counts = _pixel_counts(images)
    values, total = np.arange(256), counts.sum(axis=1)
    mean: FloatArray = counts @ values / total
    return mean, np.sqrt((counts * (values - mean[:, None]) ** 2).sum(axis=1) / total)


def _statistics(samples: Samples) -> tuple[FloatArray, FloatArray]:
    """[C] mean and deviation of samples [S, C, ...], by two passes over a few at a time."""
    few = [samples[piece] for piece in pieces(samples)]
    axes = (0, *range(2, samples.ndim))
    total = samples.size / samples.shape[1]
    mean: FloatArray = np.sum([piece.sum(axis=axes, dtype=np.float64) for piece in few], axis=0) / total
    centers = mean.reshape(-1, *[1] * (samples.ndim - 2))
    squares = np.sum([((piece.astype(np.float64) - centers) ** 2).sum(axis=axes) for piece in few], axis=0)
    return mean, np.sqrt(squares / total)


def _pixel_counts(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """[C, 256] how often each value occurs: exact, and without a copy of all images as floating-point numbers."""
    counts = np.zeros((images.shape[1], 256), np.int64)
    for piece in pieces(images, most=128):
        for channel in range(images.shape[1]):
            counts[channel] += np.bincount(images[piece, channel].ravel(), minlength=256)
    return counts
