"""Pictures of any size to arrays of one size."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import interpolate

from offramp.errors import fail
from offramp.files.images import eight_bits

MOST_BYTES = 1 << 32
_AT_ONCE = 1024


def check_room(count: int, width: int, height: int, *, pixel_bytes: int = 3) -> None:
    """Raises `InputError` where so many pictures would take more than 4 GB: to be asked before they are made."""
    if (needed := count * width * height * pixel_bytes) > MOST_BYTES:
        problem = f"{count} pictures of {_text((width, height))} need {needed / 1e9:,.1f} GB"
        fail("pictures", problem, f"give a smaller --image-size; up to {MOST_BYTES >> 30} GB is taken")


def resized(images: NDArray[np.uint8], size: int | None) -> NDArray[np.uint8]:
    """[S, C, H, W] images as [S, C, size, size], bicubic and without aliasing; as they are where `size` is None.

    Raises `InputError` before more than 4 GB would be taken.
    """
    if size is None or images.shape[2:] == (size, size):
        return images
    check_room(len(images), size, size, pixel_bytes=images.shape[1])
    result = np.empty((*images.shape[:2], size, size), np.uint8)
    for first in range(0, len(images), _AT_ONCE):
        few = torch.tensor(images[first : first + _AT_ONCE])
        result[first : first + _AT_ONCE] = interpolate(few, size=(size, size), mode="bicubic", antialias=True)
    return result


def stacked(pictures: Iterable[tuple[str, Image.Image]], *, count: int, size: int | None) -> NDArray[np.uint8]:
    """[S, 3, H, W] of S = `count` pictures, each with the name it has in messages.

    size: of the images, square and resized; None where all have the size of the first.
    Raises `InputError` where one has another size or values that are no colors, and before more than 4 GB would be
    taken.
    """
    images: NDArray[np.uint8] | None = None
    for i, (name, picture) in enumerate(pictures):
        if images is None:
            width, height = picture.size if size is None else (size, size)
            check_room(count, width, height)
            images = np.empty((count, 3, height, width), np.uint8)
        if size is None and picture.size != (width, height):
            problem = f"is {_text(picture.size)}, the first picture is {_text((width, height))}"
            fail(name, problem, "give --image-size, which all are resized to")
        rgb = eight_bits(name, picture).convert("RGB")
        resized_rgb = rgb if rgb.size == (width, height) else rgb.resize((width, height))
        images[i] = np.asarray(resized_rgb).transpose(2, 0, 1)
    if images is None:
        fail("pictures", "there are none", "give at least a few of each class")
    return images


def _text(size: tuple[int, ...]) -> str:
    return f"{size[0]}x{size[1]}"
