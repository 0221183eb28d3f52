"""An npz archive of images and labels, looked at before it is believed."""

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.errors import InputError, fail
from offramp.nn.data import Dataset, split
from offramp.nn.datasets.pictures import MOST_BYTES, check_room, resized

# The names of one array pair, or of the parts that were published apart (as MedMNIST's archives have them).
_WHOLE = ("",)
_PARTS = ("train_", "val_", "test_")
_REMEDY = "write it with numpy.savez(path, images=..., labels=...): uint8 [S, C, H, W], whole numbers [S]"


def archive(path: Path, *, seed: int, size: int | None = None) -> Dataset:
    """The images and labels in an npz.

    It holds `images` and `labels`, or `train_images`, `train_labels`, `test_images`, `test_labels` and, it may be,
    `val_images` and `val_labels`. Images are uint8 [S, H, W], [S, H, W, C] or [S, C, H, W] with C 1 or 3; gray ones
    get three equal channels. Labels are whole numbers from 0, [S] or [S, 1].
    size: the images are resized to size x size; None for as they are.
    Raises `InputError` for anything else, without reading an array that claims more bytes than the archive holds
    for it or more than 4 GB in all, before the images would take more than that, and without ever unpickling.
    """
    try:
        with zipfile.ZipFile(path) as file:
            held = {name.removesuffix(".npy") for name in file.namelist()}
            parts = _PARTS if "train_images" in held else _WHOLE
            parts = tuple(part for part in parts if f"{part}images" in held or part in ("", "train_"))
            _check_size(file, path, parts)
            arrays = [_pair(file, path, part) for part in parts]
    except InputError:
        raise
    except Exception as error:
        # zipfile, its decompressors and numpy raise a dozen types between them for a damaged archive.
        fail(str(path), f"is not an npz archive, or is damaged: {error}", _REMEDY)
    if len({images.shape[1:] for images, _ in arrays}) > 1:
        fail(str(path), "has parts with images of different shapes", "give all images one shape")
    counts = {part: len(labels) for part, (_, labels) in zip(parts, arrays, strict=True)}
    height, width = (size, size) if size is not None else arrays[0][0].shape[2:]
    # The parts are small by themselves, and gray ones are views until they are put together.
    check_room(sum(counts.values()), width, height)
    held_out = "test_" if "test_" in counts else "val_"
    return split(
        path.stem,
        np.concatenate([resized(images, size) for images, _ in arrays]),
        np.concatenate([labels for _, labels in arrays]),
        seed=seed,
        validation=counts.get("val_", 0) if held_out == "test_" else 0,
        test=counts.get(held_out, 0),
    )


def _check_size(file: zipfile.ZipFile, path: Path, parts: Sequence[str]) -> None:
    """Raises `InputError` where the parts' arrays together would take more than 4 GB."""
    wanted = {f"{part}{name}.npy" for part in parts for name in ("images", "labels")}
    if (held := sum(member.file_size for member in file.infolist() if member.filename in wanted)) > MOST_BYTES:
        fail(str(path), f"holds arrays of {held / 1e9:,.1f} GB", f"give at most {MOST_BYTES >> 30} GB")


def _pair(file: zipfile.ZipFile, path: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """[S, 3, H, W] images and [S] labels."""
    images, labels = (_array(file, path, part + name) for name in ("images", "labels"))
    place = f"{path}: {part}images"
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or not images.size:
        fail(place, f"is {images.dtype} of shape {images.shape}", _REMEDY)
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[1] not in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.shape[1] not in (1, 3):
        fail(place, f"has {images.shape[1]} channels", "give gray or red-green-blue images")
    if labels.shape not in ((len(images),), (len(images), 1)) or not np.issubdtype(labels.dtype, np.integer):
        problem = f"is {labels.dtype} of shape {labels.shape}"
        fail(f"{path}: {part}labels", problem, f"give {len(images)} whole numbers")
    return np.broadcast_to(images, (len(images), 3, *images.shape[2:])), labels.reshape(-1).astype(np.int64)


def _array(file: zipfile.ZipFile, path: Path, name: str) -> NDArray[np.generic]:
    """An array of the archive, after its header was held against what follows it."""
    if f"{name}.npy" not in file.namelist():
        fail(f"{path}: {name}", "is missing", _REMEDY)
    member = file.getinfo(f"{name}.npy")
    with file.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        held = member.file_size - stream.tell()
    claimed = math.prod(shape) * dtype.itemsize
    if dtype.hasobject:
        fail(f"{path}: {name}", "holds Python objects", _REMEDY)
    if claimed > MOST_BYTES:
        fail(f"{path}: {name}", f"has shape {shape}", f"give at most {MOST_BYTES >> 30} GB")
    if claimed != held:
        fail(f"{path}: {name}", f"claims {claimed} bytes and holds {held}", "write the archive again")
    with file.open(member) as stream:
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
