"""What each sample travels as, in bits: an npz archive beside a profile, validated before its arrays are loaded."""

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from offramp.core.checks import IntArray
from offramp.errors import fail
from offramp.files.arrays import array_header, npz_archive
from offramp.files.tables import MOST_ARRAY_BYTES


def read_sizes(path: Path) -> dict[str, IntArray]:
    """Arrays of whole numbers by the name of a codec.

    Raises `InputError`, before anything is allocated where an array claims another type or more bytes than the archive
    holds for it.
    """
    with npz_archive(path) as archive:
        return {member.filename.removesuffix(".npy"): _array(archive, member) for member in archive.infolist()}


def sizes_bytes(sizes: Mapping[str, IntArray]) -> bytes:
    """The sizes as an npz archive."""
    buffer = io.BytesIO()
    narrow = {name: bits.astype(np.min_scalar_type(int(bits.max()))) for name, bits in sizes.items()}
    np.savez_compressed(buffer, allow_pickle=False, **narrow)
    return buffer.getvalue()


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IntArray:
    with archive.open(member) as file:
        shape, _, dtype = array_header(file)
        size, held = math.prod(shape) * dtype.itemsize, member.file_size - file.tell()
    name = member.filename.removesuffix(".npy")
    if not np.issubdtype(dtype, np.integer):
        fail(name, f"is of type {dtype}", "give sizes in bits, as whole numbers")
    if size != held or size > MOST_ARRAY_BYTES:
        fail(name, f"claims shape {shape}, {size} bytes, but holds {held} bytes", "write the archive again")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False).astype(np.int64)
