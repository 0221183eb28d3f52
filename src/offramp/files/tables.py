"""Exit tables: npz archives, validated before their arrays are loaded."""

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from offramp.core.exit_table import ExitTable
from offramp.core.score import ScoreName
from offramp.errors import Fault, refuse
from offramp.files.arrays import array_header, npz_archive

# 256 MiB hold the entropies of 50,000 samples at 1,300 branches.
MOST_ARRAY_BYTES = 1 << 28

_SCORES = {score.value: score for score in ScoreName}
_AXES = {
    **dict.fromkeys(_SCORES, "[N, S]"),
    "correct": "[N, S]",
    "label": "[S]",
    "predicted": "[N, S]",
    "confidence": "[N, S]",
    "ids": "[S]",
}
_TYPES = {
    **dict.fromkeys(_SCORES, "float32"),
    "correct": "bool",
    "label": "int",
    "predicted": "int",
    "confidence": "float32",
    "ids": "int",
}
# Tables that were made elsewhere may lack the others.
_REQUIRED = ("correct", "label")


def read_table(path: Path, *, blocks: int | None) -> ExitTable:
    """The exit table in an npz file.

    blocks: N, how many branches the profile has; None where that can't be read from it.
    Raises `InputError`, before anything is allocated where an array claims another N, another type or more bytes
    than the archive holds for it.
    """
    with npz_archive(path) as archive:
        members = {name: archive.getinfo(f"{name}.npy") for name in _AXES if f"{name}.npy" in archive.namelist()}
        extra = [name for name in archive.namelist() if name.removesuffix(".npy") not in _AXES]
        missing = [name for name in _REQUIRED if name not in members]
        faults = [Fault(name, "is missing", f"give {_TYPES[name]} {_AXES[name]}") for name in missing]
        scores = [name for name in _SCORES if name in members]
        if not scores:
            faults.append(Fault("entropy", "is missing", f"give {_TYPES['entropy']} {_AXES['entropy']}"))
        elif len(scores) > 1:
            problem = f"are {' and '.join(scores)}: a plan's thresholds are of one"
            faults.append(Fault("scores", problem, "keep one of them"))
        faults += [Fault("arrays", f"{name!r} is not known", f"known are {', '.join(_AXES)}") for name in extra]
        for name, member in members.items():
            faults += _header_faults(archive, member, name, blocks)
        refuse(faults)
        arrays = {name: _array(archive, member) for name, member in members.items()}
        return ExitTable(scores=arrays.pop(scores[0]), score=_SCORES[scores[0]], **arrays)


def is_table(path: Path) -> bool:
    """Whether a file holds what an exit table does, and nothing else."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return False
    return names <= {*_AXES} and {*_REQUIRED} <= names


def table_bytes(table: ExitTable) -> bytes:
    """The table as an npz archive."""
    buffer = io.BytesIO()
    arrays = table.arrays()
    arrays[table.score.value] = arrays.pop("scores")  # by its name
    if table.predicted is not None:
        # Classes are few: as 64-bit numbers they would take more than all else.
        arrays["predicted"] = table.predicted.astype(np.min_scalar_type(int(table.predicted.max())))
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _header_faults(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, blocks: int | None) -> list[Fault]:
    with archive.open(member) as file:
        shape, _, dtype = array_header(file)
        held = member.file_size - file.tell()
    remedy = f"give {_TYPES[name]} {_AXES[name]}"
    expected = _TYPES[name]
    matches = np.issubdtype(dtype, np.integer) if expected == "int" else dtype.newbyteorder("=") == np.dtype(expected)
    if not matches:
        return [Fault(name, f"is of type {dtype}", remedy)]
    if len(shape) != _AXES[name].count(",") + 1:
        return [Fault(name, f"has {len(shape)} axes", remedy)]
    if len(shape) > 1 and blocks is not None and shape[0] != blocks:
        return [Fault(name, f"has {shape[0]} rows", f"give {blocks}: one per block of the backbone")]
    size = math.prod(shape) * dtype.itemsize
    if size > MOST_ARRAY_BYTES:
        return [Fault(name, f"has shape {shape}", f"give at most {MOST_ARRAY_BYTES >> 20} MiB")]
    if size != held:
        return [Fault(name, f"claims shape {shape}, {size} bytes, but holds {held} bytes", "write the archive again")]
    return []


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Any:
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
