"""Arrays that may be larger than memory: mapped from files, and gone over a few samples at a time."""

import math
import mmap
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from offramp.errors import fail

MOST_IN_MEMORY = 1 << 30
"""Bytes of an array; one that takes more is in a temporary file."""

_PIECE_BYTES = 1 << 26
# Samples that there is room for where nobody knows how many come.
_FIRST = 256

Array: TypeAlias = NDArray[Any]


def is_mapped(array: Array) -> bool:
    """Whether an array is in a file, and not in memory."""
    return isinstance(array, np.memmap)


def as_array(values: Any) -> Array:
    """An array of what numpy makes one of; one that is in a file stays there."""
    return values if isinstance(values, np.memmap) else np.asarray(values)


def empty(place: str, shape: Sequence[int], dtype: DTypeLike, *, mapped: bool = False) -> Array:
    """An array to be filled: in memory, or where it takes more than `MOST_IN_MEMORY` in a temporary file.

    The file is removed when neither the array nor a view of it is there any more.
    place: in messages.
    mapped: whether it is in a file in any case.
    Raises `InputError` where the disk has no room for it.
    """
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    if not mapped and needed <= MOST_IN_MEMORY:
        return np.empty(shape, dtype)
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    remedy = "make room, set TMPDIR to a folder with room, or give fewer or smaller samples"
    problem = f"needs {needed / 1e9:,.2f} GB on disk, in {folder} {free / 1e9:,.2f} GB are free"
    if needed > free:
        fail(place, problem, remedy)
    descriptor, name = tempfile.mkstemp(prefix="offramp-", suffix=".samples")
    # Without a name it is gone with this process, however that ends; this one's children find it by the descriptor.
    unnamed = f"/proc/{os.getpid()}/fd/{descriptor}"
    if Path(unnamed).exists():
        os.unlink(name)
    try:
        # What is written by way of memory ends the process where the disk is full.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, needed)
        array: Array = np.memmap(name if Path(name).exists() else unnamed, dtype, "r+", shape=tuple(shape))
    except OSError as error:
        _release(descriptor, name)
        fail(place, f"{problem}: {error.strerror}", remedy)
    # What holds the file of an array and of all its views.
    weakref.finalize(array.base, _release, descriptor, name)
    return array


def pieces(array: Array, *, most: int = 1024) -> Iterator[slice]:
    """Places of all samples, `most` at a time, or fewer where these take more than 64 MB."""
    rows = max(1, min(most, _PIECE_BYTES // max(1, array[:1].nbytes)))
    return (slice(first, min(first + rows, len(array))) for first in range(0, len(array), rows))


def filled(place: str, samples: Iterable[Array], *, count: int | None = None) -> Array | None:
    """[S, ...] of samples of one shape and type that come one after the other; None where none come.

    count: how many come; None where nobody knows.
    Raises `InputError` where there is no room for them: they may have no end.
    """
    array: Array | None = None
    held = 0
    for held, sample in enumerate(samples, start=1):
        if array is None:
            array = empty(place, (count or _FIRST, *sample.shape), sample.dtype)
        elif held > len(array):
            array = _copied(array, empty(place, (2 * len(array), *array.shape[1:]), array.dtype))
        array[held - 1] = sample
    return None if array is None else array[:held]


def converted(place: str, array: Array, dtype: DTypeLike) -> Array:
    """The array in another type."""
    if not is_mapped(array):
        return array.astype(dtype)
    return _copied(array, _empty_like(place, array, len(array), np.dtype(dtype), mapped=True))


def chosen(place: str, arrays: Sequence[Array], places: NDArray[np.int64]) -> Array:
    """[P, ...] samples of arrays one after the other, in memory where all of the arrays together are.

    arrays: [S_i, ...], of one shape but for the first axis.
    places: [P] in the arrays one after the other, in order. Where they are a run of an array in a file, the result is
        a view of it; else it is a copy.
    """
    kind = np.result_type(*arrays)
    ends = np.cumsum([len(array) for array in arrays])
    found = [
        (array, places[(end - len(array) <= places) & (places < end)] - (end - len(array)))
        for array, end in zip(arrays, ends.tolist(), strict=True)
    ]
    found = [(array, inside) for array, inside in found if len(inside)] or found[:1]
    first, inside = found[0]
    if len(found) == 1 and is_mapped(first) and first.dtype == kind and len(inside) == np.ptp(inside) + 1:
        return first[inside[0] : inside[-1] + 1]
    mapped = any(map(is_mapped, arrays))
    if not mapped and sum(array.nbytes for array in arrays) <= MOST_IN_MEMORY:
        taken = [array[inside].astype(kind, copy=False) for array, inside in found]
        return taken[0] if len(taken) == 1 else np.concatenate(taken)
    result, begin = _empty_like(place, first, len(places), kind, mapped=True), 0
    for array, inside in found:
        rows = result[begin : begin + len(inside)]
        for piece in pieces(rows):
            rows[piece] = array[inside[piece]]
        begin += len(inside)
    return result


def by_path(value: object) -> Any:
    """How `pickle` sends an array that is in a file to another process of this machine: by the file's path.

    `NotImplemented` for anything else, as `pickle.Pickler.reducer_override` wants it.
    """
    if not isinstance(value, np.memmap):
        return NotImplemented
    whole: Any = value
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    if not isinstance(whole.base, mmap.mmap) or not isinstance(whole.filename, str | Path):
        return NotImplemented
    low, high = np.lib.array_utils.byte_bounds(value)
    if low != value.ctypes.data:
        return NotImplemented
    offset = whole.offset + low - np.lib.array_utils.byte_bounds(whole)[0]
    return _reopened, (str(whole.filename), offset, high - low, value.dtype, value.shape, value.strides)


def _reopened(
    name: str, offset: int, size: int, dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...]
) -> Array:
    held = np.memmap(name, np.uint8, "r", offset=offset, shape=(size,))
    flat = held[: size - size % dtype.itemsize].view(dtype)
    return np.lib.stride_tricks.as_strided(flat, shape, strides, subok=True, writeable=False)


def _copied(array: Array, result: Array) -> Array:
    """`result`, its first samples those of the array."""
    for piece in pieces(array):
        result[piece] = array[piece]
    return result


def _empty_like(place: str, array: Array, count: int, dtype: np.dtype[Any], *, mapped: bool) -> Array:
    """[count, ...] laid out as numpy lays out a copy, but sample after sample: channels may be last in memory."""
    strides = np.empty_like(array, shape=(2,) * array.ndim).strides
    order = [0, *sorted(range(1, array.ndim), key=lambda axis: -strides[axis])]
    shape = (count, *array.shape[1:])
    return empty(place, [shape[axis] for axis in order], dtype, mapped=mapped).transpose(np.argsort(order))


def _release(descriptor: int, name: str) -> None:
    os.close(descriptor)
    Path(name).unlink(missing_ok=True)
