"""Samples to send to a deployment: an npz, or a folder of images."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.core.checks import IntArray, Uint8Array
from offramp.errors import Fault, InputError, fail
from offramp.files.images import SUFFIXES, eight_bits, opened
from offramp.files.sources import locate

_MOST_BYTES = 1 << 32


def read_samples(
    source: str | Path, *, shape: tuple[int, ...], classes: int, most: int | None = None
) -> tuple[list[str], Uint8Array, IntArray | None]:
    """[S] names and [S, C, H, W] the samples in an npz or a folder of images, and [S] their classes if an npz tells.

    shape: (C, H, W) that the network takes; images are resized to it, arrays must have it.
    classes: how many the network tells apart.
    most: how many to read at most.
    An npz holds `images`, uint8 [S, C, H, W], and may hold `labels`, whole numbers [S]. Images come by name.
    Raises `InputError` for anything else.
    """
    path = Path(source)
    if path.is_dir():
        return *_from_folder(path, shape, most), None
    images, labels = check_samples(*_from_archive(locate(path), most), shape=shape, classes=classes)
    return [str(number) for number in range(len(images))], images, labels


def check_samples(
    images: NDArray[np.generic], labels: NDArray[np.generic] | None, *, shape: tuple[int, ...], classes: int
) -> tuple[Uint8Array, IntArray | None]:
    """Samples and labels that a network takes, as in `read_samples`. Raises `InputError` for any others."""
    if images.dtype != np.uint8 or images.shape[1:] != shape or not len(images):
        problem = f"holds {images.dtype} of shape {images.shape}"
        fail("images", problem, f"give uint8 of shape (S, {', '.join(map(str, shape))})")
    if labels is None:
        return images.astype(np.uint8, copy=False), None
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        fail("labels", f"are {labels.dtype} of shape {labels.shape}", f"give {len(images)} whole numbers")
    if not 0 <= labels.min() <= labels.max() < classes:
        fail("labels", f"go from {labels.min()} to {labels.max()}", f"give 0 to {classes - 1}, the network's classes")
    return images.astype(np.uint8, copy=False), labels.astype(np.int64)


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


def _from_archive(path: Path, most: int | None) -> tuple[NDArray[np.generic], NDArray[np.generic] | None]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            fail(str(path), "is larger than 4 GB", "send it in parts")
        with zipfile.ZipFile(path) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
        if claimed > _MOST_BYTES:
            fail(str(path), f"claims {claimed} bytes of arrays", "send it in parts")
        with np.load(path, allow_pickle=False) as arrays:
            images = arrays["images"][:most]
            labels = arrays["labels"][:most] if "labels" in arrays else None
    except InputError:
        raise
    except Exception as error:
        # zipfile, its decompressors and numpy raise a dozen types between them for a damaged archive.
        remedy = "write it with numpy.savez(path, images=..., labels=...)"
        raise InputError([Fault(str(path), f"is not an npz with images: {error}", remedy)]) from error
    return images, labels
