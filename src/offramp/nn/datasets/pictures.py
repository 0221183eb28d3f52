"""Pictures of any size to arrays of one size."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import interpolate

from offramp.errors import fail
from offramp.files.images import eight_bits
from offramp.files.maps import empty, filled, pieces


def resized(images: NDArray[np.uint8], size: int | None) -> NDArray[np.uint8]:
    """[S, C, H, W] images as [S, C, size, size], bicubic and without aliasing; as they are where `size` is None.

    In a file where they are large. Raises `InputError` where there is no room for that.
    """
    if size is None or images.shape[2:] == (size, size):
        return images
    result: NDArray[np.uint8] = empty("pictures", (*images.shape[:2], size, size), np.uint8)
    for piece in pieces(result):
        few = torch.tensor(images[piece])
        result[piece] = interpolate(few, size=(size, size), mode="bicubic", antialias=True)
    return result


def stacked(pictures: Iterable[tuple[str, Image.Image]], *, count: int | None, size: int | None) -> NDArray[np.uint8]:
    """[S, 3, H, W] of S = `count` pictures, each with the name it has in messages; in a file where they are large.

    count: how many there are; None where nobody knows before they have come.
    size: of the images, square and resized; None where all have the size of the first.
    Raises `InputError` where one has another size or values that are no colors, and where there is no room for them.
    """
    images = filled("pictures", _arrays(pictures, size), count=count)
    if images is None:
        fail("pictures", "there are none", "give at least a few of each class")
    return images


def _arrays(pictures: Iterable[tuple[str, Image.Image]], size: int | None) -> Iterator[NDArray[np.uint8]]:
    """[3, H, W] each."""
    side = None if size is None else (size, size)
    for name, picture in pictures:
        side = side or picture.size
        if size is None and picture.size != side:
            problem = f"is {_text(picture.size)}, the first picture is {_text(side)}"
            fail(name, problem, "give --image-size, which all are resized to")
        rgb = eight_bits(name, picture).convert("RGB")
        yield np.asarray(rgb if rgb.size == side else rgb.resize(side)).transpose(2, 0, 1)


def _text(size: tuple[int, ...]) -> str:
    return f"{size[0]}x{size[1]}"
