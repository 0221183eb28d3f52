"""Samples to send to a deployment: an npz, or a folder of images."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.core.checks import IntArray, Uint8Array
from offramp.errors import Fault, InputError, fail
from offramp.files.arrays import Samples, as_pictures, as_samples
from offramp.files.images import SUFFIXES, eight_bits, opened
from offramp.files.parts import packed
from offramp.files.sources import locate

TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
"""What the names of tables end with."""

_MOST_BYTES = 1 << 32
# Of the arrays of a split; what was held out comes first.
_PREFIXES = ("", "test_", "val_", "train_")


def read_samples(
    source: str | Path, *, shape: tuple[int, ...], classes: int, kind: str = "uint8", most: int | None = None
) -> tuple[list[str], Samples, IntArray | None]:
    """[S] names and [S, ...] the samples in an npz or a folder of images, and [S] their classes if an npz tells.

    shape: that the network takes, images (C, H, W); files of images are resized to it, arrays must have it.
    kind: the type of the numbers in it.
    classes: how many the network tells apart.
    most: how many to read at most.
    An npz holds `images`, as they are trained on, or `inputs` [S, ...], and may hold `labels`, whole numbers [S]; of
    one that holds splits, its `test_images` and so on are taken. Images come by name.
    Raises `InputError` for anything else.
    """
    path = Path(source)
    if path.is_dir():
        if kind != "uint8" or len(shape) != 3:
            fail("samples", f"the network takes {kind} of shape {shape}, no pictures", "give an npz with `inputs`")
        return *_from_folder(path, shape, most), None
    arrays = _from_archive(locate(path), most)
    images, labels = check_samples(*arrays, shape=shape, kind=kind, classes=classes)
    return [str(number) for number in range(len(images))], images, labels


def check_samples(
    images: NDArray[np.generic],
    labels: NDArray[np.generic] | None,
    *,
    shape: tuple[int, ...],
    kind: str = "uint8",
    classes: int,
) -> tuple[Samples, IntArray | None]:
    """Samples and labels that a network takes, as in `read_samples`. Raises `InputError` for any others."""
    given, wanted = images, f"give {kind} of shape (S, {', '.join(map(str, shape))})"
    if kind == "uint8" and len(shape) == 3 and shape[0] == 3 and images.dtype == np.uint8 and images.ndim in (3, 4):
        images = as_pictures("images", images)
    if kind == "uint8" and len(shape) == 3 and shape[0] == 1 and images.shape[1:] in (shape[1:], (*shape[1:], 1)):
        images = images.reshape(len(images), *shape)
    if images.shape[1:] != shape or not len(images):
        fail("images", f"holds {given.dtype} of shape {given.shape}", wanted)
    images = as_samples("images", images)
    if images.dtype.name != kind:
        fail("images", f"holds {given.dtype} of shape {given.shape}", wanted)
    if labels is None:
        return images, None
    labels = labels.reshape(-1) if labels.shape == (len(images), 1) else labels
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        fail("labels", f"are {labels.dtype} of shape {labels.shape}", f"give {len(images)} whole numbers")
    if not 0 <= labels.min() <= labels.max() < classes:
        fail("labels", f"go from {labels.min()} to {labels.max()}", f"give 0 to {classes - 1}, the network's classes")
    return images, labels.astype(np.int64)


def _from_folder(folder: Path, shape: tuple[int, ...], most: int | None) -> tuple[list[str], Uint8Array]:
    channels, height, width = shape
    if channels not in (1, 3):
        fail("samples", f"the network takes {channels} channels", "give an npz of arrays instead of images")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)[:most]
    if not paths:
        fail(str(folder), "holds no images", f"give files that end with {', '.join(SUFFIXES)}")
    images = np.empty((len(paths), *shape), np.uint8)
    for i, (name, picture) in enumerate(opened((str(path), str(path)) for path in paths)):
        colors = eight_bits(name, picture).convert("L" if channels == 1 else "RGB")
        resized = colors.resize((width, height))
        images[i] = np.asarray(resized).reshape(height, width, channels).transpose(2, 0, 1)
    return [str(path.relative_to(folder)) for path in paths], images


def _samples_of(names: Sequence[str], prefix: str) -> list[str]:
    """Of the arrays of an archive, those that hold the samples of one split."""
    whole = [name for name in (f"{prefix}images", f"{prefix}inputs") if name in names]
    return whole[:1] or [name for name in names if name.startswith(f"{prefix}inputs_")]


def _from_archive(path: Path, most: int | None) -> tuple[NDArray[np.generic], NDArray[np.generic] | None]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            fail(str(path), "is larger than 4 GB", "send it in parts")
        with zipfile.ZipFile(path) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
        if claimed > _MOST_BYTES:
            fail(str(path), f"claims {claimed} bytes of arrays", "send it in parts")
        with np.load(path, allow_pickle=False) as arrays:
            prefix = next((prefix for prefix in _PREFIXES if _samples_of(arrays.files, prefix)), "")
            names = _samples_of(arrays.files, prefix) or ["images"]
            inputs = {name.removeprefix(f"{prefix}inputs_"): arrays[name][:most] for name in names}
            several = names[0].startswith(f"{prefix}inputs_")
            images = packed(str(path), inputs)[0] if several else arrays[names[0]][:most]
            labels = arrays[f"{prefix}labels"][:most] if f"{prefix}labels" in arrays else None
    except InputError:
        raise
    except Exception as error:
        # zipfile, its decompressors and numpy raise a dozen types between them for a damaged archive.
        remedy = "write it with numpy.savez(path, images=..., labels=...)"
        raise InputError([Fault(str(path), f"is not an npz with images: {error}", remedy)]) from error
    return images, labels
