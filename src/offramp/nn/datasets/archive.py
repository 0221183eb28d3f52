"""Arrays of images and labels in files, an npz archive or a folder of npy's, validated before they are loaded."""

import math
import os
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from offramp.errors import InputError, fail
from offramp.files import maps
from offramp.files.arrays import array_header
from offramp.nn.data import Dataset
from offramp.nn.datasets.arrays import NAMES, REMEDY, Array, arrays_of, dataset_of, names_in

_AT_ONCE = 1 << 24
# Of a member's own header in an archive, before its name; the lengths of the name and of what follows it stand last.
_LOCAL_HEADER = 30


def archive(path: Path, *, seed: int, size: int | None = None) -> Dataset:
    """The data set in an npz, whose arrays are as `arrays.dataset_of` takes them.

    size: the images are resized to size x size; None for as they are.
    Samples that are large stay in the archive where they are not compressed, else they are unpacked to a temporary
    file. Raises `InputError` for anything else, without reading an array that claims more bytes than the archive
    holds for it or than there is room for, and without ever unpickling.
    """
    try:
        with zipfile.ZipFile(path) as file:
            held = {name.removesuffix(".npy") for name in file.namelist()}
            members = {name: _Member.of(file, path, name) for name in names_in(held) if name in held}
            large = sum(member.size for member in members.values()) > maps.MOST_IN_MEMORY
            arrays = {name: _array(file, path, member, large=large) for name, member in members.items()}
    except InputError:
        raise
    except Exception as error:
        # zipfile, its decompressors and numpy raise a dozen types between them for a damaged archive.
        fail(str(path), f"is not an npz archive, or is damaged: {error}", REMEDY)
    return dataset_of(arrays, name=path.stem, place=str(path), seed=seed, size=size)


def arrays_folder(path: Path) -> bool:
    """Whether a folder holds arrays: samples and labels as `numpy.save` writes them."""
    return any((path / f"{prefix}labels.npy").is_file() for prefix in ("", "train_"))


def array_files(path: Path, *, seed: int, size: int | None = None) -> Dataset:
    """The data set in a folder of npy's, each called as in an npz: `images.npy`, `labels.npy`.

    Samples that are large stay in their files. The rest is as for `archive`.
    """
    held = {file.stem for file in path.glob("*.npy")}
    arrays = {}
    for name in names_in(held):
        if name in held:
            file = path / f"{name}.npy"
            try:
                array: Array = np.lib.format.open_memmap(file, mode="r")
            except (OSError, ValueError, EOFError) as error:
                fail(str(file), f"is not an npy, or is damaged: {error}", "write it with numpy.save")
            large = _stays(str(file), name, array.nbytes, large=array.nbytes > maps.MOST_IN_MEMORY)
            arrays[name] = array if large else np.array(array, order="K")
    return dataset_of(arrays, name=path.resolve().name, place=str(path), seed=seed, size=size)


def write_archive(dataset: Dataset, path: Path) -> None:
    """Write an npz from which `archive` reads the same splits, classes and names; whole or not at all.

    Raises `OSError` where it can't be written.
    """
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays_of(dataset))
    os.replace(unfinished, path)


@dataclass(frozen=True, slots=True)
class _Member:
    """An array of an archive.

    header: its bytes before the numbers.
    """

    name: str
    info: zipfile.ZipInfo
    header: int
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize

    @classmethod
    def of(cls, file: zipfile.ZipFile, path: Path, name: str) -> "_Member":
        """What it is, after its header was held against what follows it."""
        info = file.getinfo(f"{name}.npy")
        with file.open(info) as stream:
            shape, fortran, dtype = array_header(stream)
            member = cls(name, info, stream.tell(), shape, fortran, dtype)
        if dtype.hasobject:
            fail(f"{path}: {name}", "holds Python objects", REMEDY)
        if member.size != (held := info.file_size - member.header):
            fail(f"{path}: {name}", f"claims {member.size} bytes and holds {held}", "write the archive again")
        return member


def _array(file: zipfile.ZipFile, path: Path, member: _Member, *, large: bool) -> Array:
    """An array of the archive.

    large: whether the samples are to stay in a file.
    """
    place = f"{path}: {member.name}"
    if not _stays(place, member.name, member.size, large=large):
        with file.open(member.info) as stream:
            return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
    shape = member.shape[::-1] if member.fortran else member.shape
    begin = _stored_at(path, member)
    if begin is not None:
        array: Array = np.memmap(path, member.dtype, "r", offset=begin, shape=shape)
        with file.open(member.info) as stream:
            # To its end, where the checksum is compared.
            for _ in _pieces(stream):
                pass
    else:
        array = maps.empty(place, shape, member.dtype, mapped=True)
        flat, done = array.reshape(-1).view(np.uint8), 0
        with file.open(member.info) as stream:
            array_header(stream)
            for piece in _pieces(stream):
                flat[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
                done += len(piece)
        if done != member.size:
            fail(place, f"claims {member.size} bytes and holds {done}", "write the archive again")
    return array.transpose() if member.fortran else array


def _stays(place: str, name: str, size: int, *, large: bool) -> bool:
    """Whether an array is to stay in a file: those of samples, where they are large.

    Raises `InputError` where labels or names are.
    """
    if name not in NAMES and not name.endswith("labels"):
        return large
    if size > maps.MOST_IN_MEMORY:
        fail(place, f"takes {size / 1e9:,.2f} GB", f"give at most {maps.MOST_IN_MEMORY / 1e9:,.2f} GB")
    return False


def _stored_at(path: Path, member: _Member) -> int | None:
    """Where an array's numbers begin in the archive; None where they are not there as they are in memory."""
    info = member.info
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        return None
    with path.open("rb") as file:
        file.seek(info.header_offset)
        lengths = struct.unpack("<HH", file.read(_LOCAL_HEADER)[-4:])
    begin = info.header_offset + _LOCAL_HEADER + sum(lengths) + member.header
    return begin if begin % member.dtype.itemsize == 0 and member.dtype.isnative else None


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(_AT_ONCE):
        yield piece
