"""Data sets in memory: arrays, tensors, and whatever a `torch.utils.data.Dataset` yields."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor
from torch.utils import data as torch_data

from offramp.errors import fail
from offramp.files.arrays import as_samples
from offramp.files.maps import as_array, filled
from offramp.nn.data import Dataset, split
from offramp.nn.datasets.arrays import Array, dataset_of, names_in
from offramp.nn.datasets.pictures import stacked

Samples: TypeAlias = "torch_data.Dataset[Any]"
"""Yields pairs of an image and a label."""
ArrayOrTensor: TypeAlias = ArrayLike | Tensor

_SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
# By so much a value may miss k/255, times 255: those who multiply by 1/255 miss it by a rounding error.
_ROUNDING = 1e-3


def arrays_in_memory(arrays: Mapping[str, ArrayOrTensor], *, name: str | None, seed: int, size: int | None) -> Dataset:
    """The data set that arrays or tensors make up, called as in `arrays.dataset_of`."""
    held = {key: _array(arrays[key]) for key in names_in(arrays) if key in arrays}
    if name is not None:
        held["name"] = np.array(name)
    return dataset_of(held, name="data", place="data", seed=seed, size=size)


def torch_datasets(parts: Mapping[str, Samples], *, name: str | None, seed: int, size: int | None) -> Dataset:
    """The samples and labels that PyTorch's data sets yield, each read once from its beginning to its end.

    parts: `train`, and it may be `test` and `val`, which are held out; what is not there is drawn from `train`.
    Samples are images where the first is: a uint8 tensor or array [H, W], [C, H, W] or [H, W, C] with C 1 or 3, a PIL
    image, or a float tensor as torchvision's `ToTensor` makes it: eight bits divided by 255. Else they are tensors or
    arrays of numbers, all of one shape and type, as they are.
    size: images are resized to size x size; None where all have one size.
    They are in a file where they are large. Raises `InputError` for anything else, and where there is no room for them.
    """
    by_role = {role: parts[key] for role, keys in _SPLITS.items() for key in keys if key in parts}
    if unknown := [*parts.keys() - chain.from_iterable(_SPLITS.values())]:
        fail("data", f"has the part {unknown[0]!r}", f"call the parts {', '.join(_SPLITS)}")
    if "train" not in by_role or len(by_role) < len(parts):
        fail("data", f"has the parts {', '.join(parts)}", "give train, and one each of val and test at most")
    labels: list[int] = []
    ends: list[int] = []
    lengths = [_length(samples) for samples in by_role.values()]
    count = None if None in lengths else sum(length or 0 for length in lengths)
    images = _stacked(_all_values(by_role, labels, ends), count, size)
    counts = [end - begin for begin, end in pairwise([0, *ends])]
    return split(
        type(by_role["train"]).__name__ if name is None else name,
        images,
        np.array(labels, np.int64),
        seed=seed,
        validation=counts[1] if len(counts) == 3 else 0,
        test=counts[-1] if len(counts) > 1 else 0,
        class_names=_class_names(by_role["train"]),
    )


def _array(values: ArrayOrTensor) -> Array:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else as_array(values)


def _stacked(values: Iterator[tuple[str, Any]], count: int | None, size: int | None) -> Array:
    """[S, ...] samples with their names in messages, as images where the first is one.

    count: how many there are; None where nobody knows before they have come.
    """
    first = next(values, None)
    every = values if first is None else chain([first], values)
    if first is None or _is_picture(first[1]):
        return stacked(((where, _picture(where, value)) for where, value in every), count=count, size=size)
    if size is not None:
        fail("image_size", f"{first[0]} is {_kind(first[1])}, and no image of 8 bits", "leave it out")
    samples = filled("data", _arrays(every, first[1]), count=count)
    assert samples is not None
    return as_samples("data", samples)


def _arrays(values: Iterable[tuple[str, Any]], first: Any) -> Iterator[Array]:
    """Samples as arrays of the shape and type of the first."""
    for where, value in values:
        if not isinstance(value, Tensor | np.ndarray):
            fail(where, f"has a sample that is {_kind(value)}", "give tensors, arrays, or PIL images")
        array = _array(value)
        if (array.shape, array.dtype) != (_array(first).shape, _array(first).dtype):
            fail(where, f"is {_kind(value)}, the first is {_kind(first)}", "give all one shape and type")
        yield array


def _is_picture(value: Any) -> bool:
    """Whether a sample is an image of 8 bits, also where these are divided by 255."""
    if isinstance(value, Image.Image):
        return True
    if not isinstance(value, Tensor | np.ndarray):
        return False
    array = _array(value)
    laid_out = array.ndim == 2 or (array.ndim == 3 and (array.shape[0] in (1, 3) or array.shape[2] in (1, 3)))
    if array.dtype == np.uint8 or not laid_out:
        return laid_out
    return array.ndim == 3 and _are_eight_bits(array)


def _all_values(by_role: Mapping[str, Samples], labels: list[int], ends: list[int]) -> Iterator[tuple[str, Any]]:
    """The samples of all parts; how many there are up to the end of each is added to `ends`."""
    for role, samples in by_role.items():
        yield from _values(role, samples, labels)
        ends.append(len(labels))


def _values(role: str, samples: Samples, labels: list[int]) -> Iterator[tuple[str, Any]]:
    """The samples with their names in messages; their labels are added to `labels`."""
    for place, sample in enumerate(_in_order(samples)):
        where = f"data: {role}[{place}]"
        if not isinstance(sample, Sequence) or len(sample) != 2:
            fail(where, f"is {_kind(sample)}", "give a data set of pairs (sample, label)")
        labels.append(_label(where, sample[1]))
        yield where, sample[0]


def _in_order(samples: Samples) -> Iterator[Any]:
    """All samples. One with a length is asked for each place: not all of them say where they end."""
    if isinstance(samples, torch_data.IterableDataset):
        return iter(samples)
    return (samples[place] for place in range(_length(samples) or 0))


def _length(samples: Samples) -> int | None:
    """How many samples there are; None for one that is asked for them until there are no more."""
    if isinstance(samples, torch_data.IterableDataset):
        return None
    count = getattr(samples, "__len__", None)
    if count is None:
        fail("data", f"{type(samples).__name__} has no length", "give a data set with __len__, or an IterableDataset")
    return int(count())


def _picture(where: str, image: Any) -> Image.Image:
    if isinstance(image, Image.Image):
        return image
    if not isinstance(image, Tensor | np.ndarray):
        fail(where, f"has an image that is {_kind(image)}", "give uint8 tensors, arrays, or PIL images")
    values = _eight_bits(where, _array(image))
    if values.ndim == 3 and values.shape[0] in (1, 3):
        values = values.transpose(1, 2, 0)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim not in (2, 3) or values.shape[2:] not in ((), (3,)) or not values.size:
        fail(where, f"has an image of shape {np.shape(image)}", "give gray or red-green-blue images [C, H, W]")
    return Image.fromarray(np.ascontiguousarray(values))


def _eight_bits(where: str, values: Array) -> NDArray[np.uint8]:
    """uint8 as they are; floating-point numbers only where they are eight bits divided by 255."""
    remedy = "give uint8 images, without normalizing or augmenting them: training does both"
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    if not np.issubdtype(values.dtype, np.floating):
        fail(where, f"has an image of {values.dtype}", remedy)
    if not _are_eight_bits(values):
        fail(where, "has a floating-point image that is not eight bits divided by 255, as the first is", remedy)
    return np.rint(values.astype(np.float64) * 255).astype(np.uint8)


def _are_eight_bits(values: Array) -> bool:
    """Whether floating-point numbers are eight bits divided by 255."""
    if not np.issubdtype(values.dtype, np.floating):
        return False
    scaled = values.astype(np.float64) * 255
    rounded = np.rint(scaled)
    return bool((np.abs(scaled - rounded) <= _ROUNDING).all() and rounded.min() >= 0 and rounded.max() <= 255)


def _label(where: str, label: Any) -> int:
    values = _array(label) if isinstance(label, Tensor | np.ndarray | np.generic | int) else np.empty(0)
    if values.size != 1 or not np.issubdtype(values.dtype, np.integer):
        fail(where, f"has a label that is {_kind(label)}", "give the number of its class, 0 and up")
    return int(values.item())


def _class_names(samples: Samples) -> tuple[str, ...] | None:
    """What the classes are called where the data set says so, as torchvision's do."""
    while isinstance(samples, torch_data.Subset):
        samples = samples.dataset
    names = getattr(samples, "classes", None)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)


def _kind(value: object) -> str:
    if isinstance(value, Tensor | np.ndarray):
        return f"{type(value).__name__} of {value.dtype}, shape {tuple(value.shape)}"
    return type(value).__name__


def parts_of(source: object) -> Mapping[str, Samples] | None:
    """PyTorch's data sets by their roles; None where they are none."""
    match source:
        case torch_data.Dataset():
            return {"train": source}
        case (torch_data.Dataset() as train, torch_data.Dataset() as test):
            return {"train": train, "test": test}
        case Mapping() if source and all(isinstance(part, torch_data.Dataset) for part in source.values()):
            return source
        case _:
            return None
