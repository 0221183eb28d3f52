"""The handwritten digits that come with scikit-learn: small, always at hand."""

from sklearn.datasets import load_digits
from torch import from_numpy, uint8
from torch.nn.functional import interpolate

from offramp.nn.data import Augmentation, Dataset, split
from offramp.nn.datasets.pictures import check_room


def digits(*, seed: int, size: int = 32) -> Dataset:
    """1797 handwritten digits, 8x8 gray, enlarged to size x size with three equal channels.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998, as scikit-learn ships it.
    Raises `InputError` where there is no room for images that are large.
    """
    bunch = load_digits()
    gray = from_numpy(bunch.images)[:, None] * (255 / 16)
    # Until they are rounded, they are gray and of 64 bits.
    check_room(len(gray), size, size, pixel_bytes=gray.element_size())
    large = interpolate(gray, size=(size, size), mode="bilinear").round_().to(uint8)
    # They fill their frame and have no mirror images.
    augmentation = Augmentation(shift=max(size // 32, 1), flip=False)
    return split("digits", large.expand(-1, 3, -1, -1).numpy(), bunch.target, seed=seed, augmentation=augmentation)
