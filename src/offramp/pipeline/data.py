"""What training starts from and leaves behind, read: data sets and runs. PyTorch is imported when they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from offramp.pipeline.arguments import path_of, require_training

if TYPE_CHECKING:
    from offramp.nn.catalog import BackboneSource
    from offramp.nn.data import Dataset
    from offramp.nn.datasets import DataSource
    from offramp.nn.training.run import Run


def read_data(source: DataSource, *, seed: int = 0, size: int | None = None, name: str | None = None) -> Dataset:
    """A data set, split into training, validation and test by `seed` where it isn't split already.

    source: `digits`; the path of a folder with CIFAR-10's binary batches, of one with a folder per class, or of an
        npz; `hf:NAME`; `(images, labels)` or a mapping with such arrays or tensors; a `torch.utils.data.Dataset` of
        pairs (image, label), a pair of them for training and test, or a mapping with `train`, `val` and `test`. A
        `Dataset` is returned as it is.
    size: the images are resized to size x size; None for as they are.
    name: of data in memory.
    Raises `InputError` where there is none, or it is damaged or of another form.
    """
    require_training()
    from offramp.nn.datasets import read_data as read

    return read(source, seed=seed, size=size, name=name)


def read_run(folder: str | Path, *, dataset: Dataset | None = None, backbone: BackboneSource | None = None) -> Run:
    """The run that `offramp.train` left in a folder.

    dataset: what it was trained on, where that is at hand already; None to read it.
    backbone: the module that its network was made from, where that was in hand.
    Raises `InputError` where there is no run or it is not trained to the end, or where data or network are no longer
    what they were.
    """
    require_training()
    from offramp.nn.training.run import read_run as read

    return read(path_of("folder", folder, "the folder of a run"), dataset=dataset, backbone=backbone)
