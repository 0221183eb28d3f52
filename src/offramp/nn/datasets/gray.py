"""Gray images with one channel, for networks that take one."""

from dataclasses import replace

import numpy as np

from offramp.files.maps import pieces
from offramp.nn.data import Dataset, Split

ONE_CHANNEL = "?channels=1"
"""What the name of a data set ends with whose gray images have one channel, and not three that are equal."""


def with_one_channel(dataset: Dataset) -> Dataset | None:
    """The same images with one channel; None where these are no images, or not gray."""
    parts = (dataset.train, dataset.validation, dataset.test)
    if not dataset.pictures or dataset.image_shape[0] != 3 or not all(map(_gray, parts)):
        return None
    train, validation, test = (replace(part, images=part.images[:, :1]) for part in parts)
    source = dataset.source
    named = None if source is None else replace(source, name=f"{source.name}{ONE_CHANNEL}")
    return replace(dataset, train=train, validation=validation, test=test, source=named)


def _gray(part: Split) -> bool:
    few = (part.images[piece] for piece in pieces(part.images))
    return all(np.array_equal(images[:, :1], images[:, i : i + 1]) for images in few for i in (1, 2))
