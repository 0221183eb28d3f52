"""CIFAR-10 as its authors hand it out: `cifar-10-binary.tar.gz`, unpacked.

Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from pathlib import Path

import numpy as np

from offramp.errors import Fault, fail, refuse
from offramp.nn.data import Augmentation, Dataset, split
from offramp.nn.datasets.pictures import resized

_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST = "test_batch.bin"
_MOST_BYTES = 1 << 32
# A record is the class, then the red, the green and the blue pixels, row by row.
_RECORD_BYTES = 1 + 3 * 32 * 32
_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def cifar10_folder(folder: Path) -> Path | None:
    """`folder` or the one that the archive makes in it, whichever holds batches; None where neither does."""
    places = (folder, folder / "cifar-10-batches-bin")
    return next((place for place in places if any((place / name).exists() for name in (*_TRAIN, _TEST))), None)


def cifar10(folder: Path, *, seed: int, size: int | None = None) -> Dataset:
    """CIFAR-10 from its binary batches: held out is its own test batch, validation is drawn from the others.

    size: the images are resized to it; None for 32.
    Raises `InputError` where a batch is missing or damaged, or they are far too large.
    """
    names = (*_TRAIN, _TEST)
    missing = [name for name in names if not (folder / name).is_file()]
    refuse((Fault(name, "is missing", "unpack cifar-10-binary.tar.gz again") for name in missing), source=str(folder))
    if (held := sum((folder / name).stat().st_size for name in names)) > _MOST_BYTES:
        problem = f"holds batches of {held / 1e9:,.1f} GB, more than {_MOST_BYTES >> 30} GB"
        fail(str(folder), problem, "unpack cifar-10-binary.tar.gz again")
    batches = [_records(folder / name) for name in names]
    records = np.concatenate(batches)
    return split(
        "cifar10",
        resized(records[:, 1:].reshape(-1, 3, 32, 32), size),
        records[:, 0].astype(np.int64),
        seed=seed,
        test=len(batches[-1]),
        augmentation=Augmentation(shift=(size or 32) // 8, flip=True),
        class_names=_CLASSES,
    )


def _records(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """[S, 3073] the records of a batch."""
    remedy = "unpack cifar-10-binary.tar.gz again"
    held = path.stat().st_size
    if held % _RECORD_BYTES or not held:
        fail(str(path), f"has {held} bytes, not records of {_RECORD_BYTES}", remedy)
    records = np.fromfile(path, np.uint8).reshape(-1, _RECORD_BYTES)
    if (largest := records[:, 0].max()) >= len(_CLASSES):
        fail(str(path), f"has a sample of class {largest}, of 10", remedy)
    return records
