"""Pictures as they are trained on and as they are sent to a deployment: the same files, the same numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from offramp.errors import fail

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif")


def opened(paths: Iterable[tuple[str, str]]) -> Iterator[tuple[str, Image.Image]]:
    """Names and files' paths to names and pictures. Raises `InputError` where one can't be read."""
    from PIL import Image

    for name, path in paths:
        try:
            with Image.open(path) as picture:
                picture.load()
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            fail(name, f"can't be read: {error}", "mend it, or take it out of the folder")
        yield name, picture


def eight_bits(name: str, picture: Image.Image) -> Image.Image:
    """The picture with 8 bits per color, those of 16 bits of gray scaled.

    name: in messages. Raises `InputError` where nothing tells which of its values is white.
    """
    # Pillow clips what is above 255, which makes nearly all of a picture of 16 bits white.
    if picture.mode.startswith("I"):
        from PIL import Image

        values = np.asarray(picture)
        if values.min() < 0 or values.max() >= 1 << 16:
            fail(name, f"has gray values from {values.min()} to {values.max()}", "save it with 8 or 16 bits")
        return Image.fromarray((values / 257).round().astype(np.uint8))
    if picture.mode == "F":
        fail(name, "has gray values that are floating-point numbers", "save it with 8 or 16 bits")
    return picture
