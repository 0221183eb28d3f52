"""The handwritten digits that come with scikit-learn: small, always at hand."""

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import from_numpy, uint8
from torch.nn.functional import interpolate

from offramp.files.maps import empty, pieces
from offramp.nn.data import Augmentation, Dataset, split


def digits(*, seed: int, size: int = 32) -> Dataset:
    """1797 handwritten digits, 8x8 gray, enlarged to size x size with three equal channels.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998, as scikit-learn ships it.
    Raises `InputError` where there is no room for images that are large.
    """
    bunch = load_digits()
    gray = from_numpy(bunch.images)[:, None] * (255 / 16)
    large: NDArray[np.uint8] = empty("digits", (len(gray), 1, size, size), np.uint8)
    for piece in pieces(large, most=64):
        large[piece] = interpolate(gray[piece], size=(size, size), mode="bilinear").round_().to(uint8)
    images = np.broadcast_to(large, (len(gray), 3, size, size), subok=True)
    # They fill their frame and have no mirror images.
    augmentation = Augmentation(shift=max(size // 32, 1), flip=False)
    return split("digits", images, bunch.target, seed=seed, augmentation=augmentation)
