"""Samples as arrays: which types travel, and how images may be laid out."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from offramp.errors import InputError, fail
from offramp.files.maps import converted, pieces
from offramp.files.sources import locate

Samples = NDArray[np.generic]
"""[S, ...] of one of `TYPES`."""

TYPES = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32")
"""Of the numbers in a sample."""

_WIDER = {"bool": "uint8", "uint16": "int32"}
_AT_ONCE = 4096


@contextmanager
def npz_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """An npz archive, open. Raises `InputError` where it is none, or turns out to be damaged while it is read."""
    locate(path)
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except InputError:
        raise
    except Exception as error:
        # zipfile, its decompressors and numpy raise a dozen types between them for a damaged archive.
        fail("", f"is not an npz archive, or is damaged: {error}", "write it with numpy.savez_compressed")


def as_samples(place: str, values: Samples) -> Samples:
    """[S, ...] in a type that travels: floating-point numbers of more than 32 bits get 32.

    place: in messages.
    Raises `InputError` for a type that isn't of numbers, and for numbers that are not finite.
    """
    if values.ndim < 2 or not values.size:
        fail(place, f"has shape {values.shape}", "give samples in a row, each an array: [S, ...]")
    if values.dtype.name not in TYPES:
        wanted = _WIDER.get(values.dtype.name)
        if wanted is None and np.issubdtype(values.dtype, np.floating):
            wanted = "float32"
        elif wanted is None and np.issubdtype(values.dtype, np.integer):
            wanted = "int64"
        if wanted is None:
            fail(place, f"is of {values.dtype}", "give numbers: whole ones, or floating-point ones")
        values = converted(place, values, wanted)
    if np.issubdtype(values.dtype, np.floating):
        for piece in pieces(values, most=_AT_ONCE):
            finite = np.isfinite(values[piece])
            if not finite.all():
                row = piece.start + int(np.argwhere(~finite)[0][0])
                problem = f"sample {row} has numbers that are missing, or not finite in 32 bits"
                fail(place, problem, "leave it out, or fill in what is missing")
    return values


def are_pictures(values: Samples) -> bool:
    """Whether these are images [S, C, H, W] of 8 bits, which may be resized, moved and mirrored."""
    return values.dtype == np.uint8 and values.ndim == 4 and values.shape[1] in (1, 3)


def as_pictures(place: str, images: Samples) -> NDArray[np.uint8]:
    """[S, 3, H, W] of images [S, H, W], [S, H, W, C] or [S, C, H, W] with C 1 or 3; gray ones get three equal channels.

    place: in messages. Raises `InputError` for any others.
    """
    remedy = "give uint8 images, gray or red-green-blue; samples of another kind by the name `inputs`"
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or not images.size:
        fail(place, f"is {images.dtype} of shape {images.shape}", remedy)
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[1] not in (1, 3):
        if images.shape[3] not in (1, 3):
            problem = f"has shape {images.shape}: neither its second axis nor its last are 1 or 3 channels"
            fail(place, problem, remedy)
        images = images.transpose(0, 3, 1, 2)
    # A subclass of arrays is one in a file.
    return np.broadcast_to(images, (len(images), 3, *images.shape[2:]), subok=True).astype(np.uint8, copy=False)


def array_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether it is in Fortran's order, and type of an array as `numpy.save` writes it; its numbers follow."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    return shape, fortran, dtype
