"""An npz archive of images and labels, validated before it is loaded."""

import math
import os
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np

from offramp.errors import InputError, fail
from offramp.nn.data import Dataset
from offramp.nn.datasets.arrays import REMEDY, Array, arrays_of, dataset_of, names_in
from offramp.nn.datasets.pictures import MOST_BYTES


def archive(path: Path, *, seed: int, size: int | None = None) -> Dataset:
    """The data set in an npz, whose arrays are as `arrays.dataset_of` takes them.

    size: the images are resized to size x size; None for as they are.
    Raises `InputError` for anything else, without reading an array that claims more bytes than the archive holds
    for it or more than 4 GB in all, before the images would take more than that, and without ever unpickling.
    """
    try:
        with zipfile.ZipFile(path) as file:
            held = {name.removesuffix(".npy") for name in file.namelist()}
            names = [name for name in names_in(held) if name in held]
            _check_size(file, path, names)
            arrays = {name: _array(file, path, name) for name in names}
    except InputError:
        raise
    except Exception as error:
        # zipfile, its decompressors and numpy raise a dozen types between them for a damaged archive.
        fail(str(path), f"is not an npz archive, or is damaged: {error}", REMEDY)
    return dataset_of(arrays, name=path.stem, place=str(path), seed=seed, size=size)


def write_archive(dataset: Dataset, path: Path) -> None:
    """Write an npz from which `archive` reads the same splits, classes and names; whole or not at all.

    Raises `OSError` where it can't be written.
    """
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays_of(dataset))
    os.replace(unfinished, path)


def _check_size(file: zipfile.ZipFile, path: Path, names: Collection[str]) -> None:
    """Raises `InputError` where the arrays together would take more than 4 GB."""
    members = {f"{name}.npy" for name in names}
    if (held := sum(member.file_size for member in file.infolist() if member.filename in members)) > MOST_BYTES:
        fail(str(path), f"holds arrays of {held / 1e9:,.1f} GB", f"give at most {MOST_BYTES >> 30} GB")


def _array(file: zipfile.ZipFile, path: Path, name: str) -> Array:
    """An array of the archive, after its header was held against what follows it."""
    member = file.getinfo(f"{name}.npy")
    with file.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        held = member.file_size - stream.tell()
    claimed = math.prod(shape) * dtype.itemsize
    if dtype.hasobject:
        fail(f"{path}: {name}", "holds Python objects", REMEDY)
    if claimed > MOST_BYTES:
        fail(f"{path}: {name}", f"has shape {shape}", f"give at most {MOST_BYTES >> 30} GB")
    if claimed != held:
        fail(f"{path}: {name}", f"claims {claimed} bytes and holds {held}", "write the archive again")
    with file.open(member) as stream:
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
