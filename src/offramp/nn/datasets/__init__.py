"""From what a user calls a data set, or holds in memory, to its images; a module for each kind."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union
from urllib.parse import parse_qsl

from offramp.errors import fail
from offramp.files.samples import TABLES
from offramp.nn.data import Dataset, Source
from offramp.nn.datasets.gray import ONE_CHANNEL, with_one_channel

if TYPE_CHECKING:
    from offramp.nn.datasets.memory import ArrayOrTensor, Samples

DataSource: TypeAlias = Union[
    str,
    Path,
    Dataset,
    "tuple[ArrayOrTensor, ArrayOrTensor]",
    "Mapping[str, ArrayOrTensor]",
    "Samples",
    "tuple[Samples, Samples]",
    "Mapping[str, Samples]",
]
"""What `read_data` takes."""

KINDS = (
    "digits, a folder with CIFAR-10's binary batches, a folder per class, an npz or a folder of npy's, "
    "a table (.csv, .parquet), or hf:NAME"
)
_HUB = "hf:"
# One picture is made in memory: 0.8 GB of red, green and blue.
_LARGEST = 1 << 14


def read_data(source: DataSource, *, seed: int = 0, size: int | None = None, name: str | None = None) -> Dataset:
    """A data set, split by `seed` where it isn't split already.

    source: `digits`; the path of a folder with CIFAR-10's binary batches, of one with a folder per class, of an
        npz, of a folder of npy's that are called as an npz's arrays are, or of a table (`table.table`;
        `FILE?label=COLUMN` names the column of the class); `hf:NAME`; all of these with `?channels=1` for gray images
        of one channel; or what is in memory: `(images, labels)` or a mapping with such arrays or tensors, as
        `arrays.dataset_of` describes them; a `torch.utils.data.Dataset` of pairs (image, label), a pair of them for
        training and test, or a mapping with `train`, `val` and `test`, as `memory.torch_datasets` describes them. A
        `Dataset` is returned as it is. Samples that take more than `maps.MOST_IN_MEMORY` are in a file, and not in
        memory.
    size: the images are resized to size x size; None for as they are.
    name: of data in memory.
    Raises `InputError` where there is none, or it is damaged or of another form.
    """
    if size is not None and size < 1:
        fail("size", f"{size} is too small", "give the pixels of a side, e.g. 32")
    if size is not None and size > _LARGEST:
        fail("size", f"{size} is too large", f"give the pixels of a side, up to {_LARGEST}")
    if source == "":
        fail("data", "is empty", f"use {KINDS}")
    match source:
        case Dataset():
            return source
        case str() | Path():
            if name is not None:
                fail("name", f"{name!r} is for data in memory", "leave it out: what is read has a name")
            whole = str(source).removesuffix(ONE_CHANNEL)
            dataset = replace(_named(whole, seed=seed, size=size), source=Source(settled(whole), seed, size))
            if whole == str(source):
                return dataset
            gray = with_one_channel(dataset)
            if gray is None:
                fail("data", f"{source!r} are no gray images", f"leave {ONE_CHANNEL} out")
            return gray
        case _:
            return _in_memory(source, seed=seed, size=size, name=name)


def settled(source: str) -> str:
    """`source` as it means the same from any folder: a path in full."""
    known = source.removesuffix(ONE_CHANNEL) == "digits" or source.startswith(_HUB)
    return source if known else str(Path(source).expanduser().resolve())


def _in_memory(source: object, *, seed: int, size: int | None, name: str | None) -> Dataset:
    from offramp.nn.datasets.memory import arrays_in_memory, parts_of, torch_datasets

    if (parts := parts_of(source)) is not None:
        return torch_datasets(parts, name=name, seed=seed, size=size)
    match source:
        case Mapping():
            arrays = source
        case Sequence() if len(source) == 2:
            arrays = dict(zip((_called(source[0]), "labels"), source, strict=True))
        case _:
            remedy = f"give {KINDS}; (images, labels); a mapping of them; or a torch.utils.data.Dataset"
            fail("data", f"is {type(source).__name__}", remedy)
    return arrays_in_memory(arrays, name=name, seed=seed, size=size)


def _called(samples: object) -> str:
    """What samples in memory are: images of 8 bits, or inputs of any kind."""
    import numpy as np
    from torch import Tensor

    array = samples.detach().cpu().numpy() if isinstance(samples, Tensor) else np.asarray(samples)
    return "images" if array.dtype == np.uint8 and array.ndim in (3, 4) else "inputs"


def _named(source: str, *, seed: int, size: int | None) -> Dataset:
    if source == "digits":
        from offramp.nn.datasets.digits import digits

        return digits(seed=seed, size=size or 32)
    if source.startswith(_HUB):
        from offramp.nn.datasets.hub import hub

        return hub(source.removeprefix(_HUB), seed=seed, size=size)
    return _at(Path(source).expanduser(), seed=seed, size=size)


def _at(path: Path, *, seed: int, size: int | None) -> Dataset:
    if path.is_dir():
        from offramp.nn.datasets.cifar10 import cifar10, cifar10_folder
        from offramp.nn.datasets.folder import class_folders

        batches = cifar10_folder(path)
        if batches is not None:
            return cifar10(batches, seed=seed, size=size)
        if any((folder / "data_batch_1").exists() for folder in (path, path / "cifar-10-batches-py")):
            remedy = "take the binary version, cifar-10-binary.tar.gz: to read a pickle is to run what it says"
            fail(str(path), "holds CIFAR-10's pickled batches", remedy)
        from offramp.nn.datasets.archive import array_files, arrays_folder

        return (array_files if arrays_folder(path) else class_folders)(path, seed=seed, size=size)
    file, _, query = str(path).partition("?")
    if file.lower().endswith(TABLES) and Path(file).is_file():
        from offramp.nn.datasets.table import table

        return table(Path(file), dict(parse_qsl(query)), seed=seed, size=size)
    if path.is_file():
        from offramp.nn.datasets.archive import archive

        return archive(path, seed=seed, size=size)
    fail("data", f"{str(path)!r} is unknown", f"use {KINDS}")
