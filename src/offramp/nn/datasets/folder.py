"""Pictures in a folder per class."""

from itertools import chain
from pathlib import Path

import numpy as np

from offramp.errors import fail
from offramp.files.images import SUFFIXES, opened
from offramp.nn.data import Augmentation, Dataset, split
from offramp.nn.datasets.pictures import stacked

# By what they hold, in the order in which their samples stand; names are compared in lower case.
_SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}


def class_folders(root: Path, *, seed: int, size: int | None = None) -> Dataset:
    """The pictures below `root/CLASS`, or below `root/train/CLASS` and `root/test/CLASS`.

    Beside `train` (`training`) there may be `test` (`testing`), or `val` (`valid`, `validation`), which is then held
    out, or both; in capitals, too. The classes are numbered by their names in order; what lies deeper in a class's
    folder belongs to the class. Pictures end with .png, .jpg, .jpeg, .bmp, .webp, .tif, .tiff or .gif; of several in
    one file the first is taken.
    size: the pictures are resized to size x size; None where all are of one size.
    Raises `InputError` where there are no classes, two folders of the same split, or a picture that can't be read or
    has another size.
    """
    parts = _parts(root)
    classes = _classes(parts[0])
    for part in parts[1:]:
        if more := sorted(set(_classes(part)) - set(classes)):
            fail(str(part), f"has the class {more[0]!r}, train has not", "give training pictures of every class")
    labeled = [
        [(path, label) for label, name in enumerate(classes) for path in _pictures(part / name)] for part in parts
    ]
    every = [*chain.from_iterable(labeled)]
    names = ((str(path), str(path)) for path, _ in every)
    images = stacked(opened(names), count=len(every), size=size)
    sizes = [len(part) for part in labeled]
    return split(
        root.resolve().name,
        images,
        np.array([label for _, label in every]),
        seed=seed,
        validation=sizes[1] if len(parts) == 3 else 0,
        test=sizes[-1] if len(parts) > 1 else 0,
        augmentation=Augmentation(shift=images.shape[2] // 8, flip=True),
        class_names=classes,
    )


def _parts(root: Path) -> list[Path]:
    """The folders of the splits, the training one first and a test one last; `root` alone where it is not split.

    Raises `InputError` where two are of the same split.
    """
    folders = sorted(folder for folder in root.iterdir() if folder.is_dir())
    splits = {
        part: [folder for folder in folders if folder.name.casefold() in names] for part, names in _SPLITS.items()
    }
    if not splits["train"]:
        return [root]
    for same in splits.values():
        if len(same) > 1:
            given = " and ".join(folder.name for folder in same)
            fail(str(root), f"has {given}, which are the same split", "leave one of them")
    return [*chain.from_iterable(splits.values())]


def _classes(folder: Path) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(names) < 2:
        remedy = f"give a folder per class, with pictures that end with {', '.join(SUFFIXES)}"
        fail(str(folder), f"has {len(names)} folders of classes", remedy)
    return names


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
