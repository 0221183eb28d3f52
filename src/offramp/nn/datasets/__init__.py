"""From what a user calls a data set to its images; a module for each kind."""

from pathlib import Path

from offramp.errors import fail
from offramp.nn.data import Dataset

KINDS = "digits, a folder with CIFAR-10's binary batches, a folder per class, an npz, or hf:NAME"
_HUB = "hf:"


def settled(source: str) -> str:
    """`source` as it means the same from any folder: a path in full."""
    return source if source == "digits" or source.startswith(_HUB) else str(Path(source).expanduser().resolve())


def dataset(source: str, *, seed: int, size: int | None = None) -> Dataset:
    """The data set that `source` names or holds, split by `seed`.

    source: `digits`; a folder with CIFAR-10's binary batches, or with a folder per class; an npz; `hf:NAME`.
    size: the images are resized to size x size; None for as they are.
    Raises `InputError` where there is none, or it is damaged.
    """
    if size is not None and size < 1:
        fail("image size", f"{size} is too small", "give the pixels of a side, e.g. 32")
    if source == "digits":
        from offramp.nn.datasets.digits import digits

        return digits(seed=seed, size=size or 32)
    if source.startswith(_HUB):
        from offramp.nn.datasets.hub import hub

        return hub(source.removeprefix(_HUB), seed=seed, size=size)
    return _at(Path(source).expanduser(), seed=seed, size=size)


def _at(path: Path, *, seed: int, size: int | None) -> Dataset:
    if path.is_dir():
        from offramp.nn.datasets.cifar10 import cifar10, cifar10_folder
        from offramp.nn.datasets.folder import class_folders

        batches = cifar10_folder(path)
        if batches is not None:
            return cifar10(batches, seed=seed, size=size)
        if any((each / "data_batch_1").exists() for each in (path, path / "cifar-10-batches-py")):
            remedy = "take the binary version, cifar-10-binary.tar.gz: to read a pickle is to run what it says"
            fail(str(path), "holds CIFAR-10's pickled batches", remedy)
        return class_folders(path, seed=seed, size=size)
    if path.is_file():
        from offramp.nn.datasets.archive import archive

        return archive(path, seed=seed, size=size)
    fail("data", f"{str(path)!r} is unknown", f"use {KINDS}")
