"""What becomes of a sensor's bytes before a network sees them: the beginning of block 1, and how it is written."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from offramp.errors import fail
from offramp.nn.data import Dataset
from offramp.nn.inputs import are_whole

DATA, IMAGENET, UNIT, RAW = "data", "imagenet", "unit", "raw"
SYMMETRIC = "0.5/0.5"
_WHITE = 255.0
# Of torchvision and timm, for images in 0..1.
_IMAGENET = "0.485,0.456,0.406/0.229,0.224,0.225"
_REMEDY = "use data, imagenet, unit, raw, or mean/deviation of images in 0..1, e.g. 0.5,0.5,0.5/0.25,0.25,0.25"


class Normalize(nn.Module):
    """Samples to floats as a network wants them: divided by `scale`, less a mean, by a deviation per channel.

    It is the beginning of block 1, so that what travels to a network is the raw sample, and the constants
    travel with the weights. The operations are those of torchvision's `ToTensor` and `Normalize`, in their order:
    other orders are rounded differently.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Iterable[float], deviation: Iterable[float], *, scale: float = 1.0, axes: int = 3) -> None:
        super().__init__()
        self.scale = scale
        shape = (-1, *[1] * (axes - 1))
        self.register_buffer("mean", torch.tensor([*mean], dtype=torch.float32).view(shape))
        self.register_buffer("deviation", torch.tensor([*deviation], dtype=torch.float32).view(shape))
        self.standardizes = bool(self.mean.any()) or bool((self.deviation != 1).any())

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, ...] of any type -> float32 of the same shape."""
        x = images.float()
        if self.scale != 1:
            x = x / self.scale
        return (x - self.mean) / self.deviation if self.standardizes else x


def usual(dataset: Dataset) -> str:
    """How samples are normalized for a network with new weights: whole numbers of 32 or 64 bits, not at all."""
    return RAW if are_whole(dataset.input_type) else DATA


def taken(text: str, dataset: Dataset) -> torch.dtype:
    """The type that a network gets samples in, normalized as `text` says."""
    return dataset.input_type if text == RAW and are_whole(dataset.input_type) else torch.float32


def normalization(text: str, dataset: Dataset) -> nn.Module:
    """What `text` asks for, for samples of that data set: `data` is by its own statistics.

    Samples that are not of 8 bits count as they are, where images are divided by 255. Raises `InputError` where it
    doesn't fit the samples' channels.
    """
    if taken(text, dataset) != torch.float32:
        return nn.Identity()
    channels, axes = dataset.image_shape[0], len(dataset.image_shape)
    white = _WHITE if dataset.input_type == torch.uint8 else 1.0
    match text:
        case "data":
            return Normalize(dataset.mean, dataset.deviation, axes=axes)
        case "unit":
            return Normalize([0.0] * channels, [1.0] * channels, scale=white, axes=axes)
        case "raw":
            return Normalize([0.0] * channels, [1.0] * channels, axes=axes)
    mean, deviation = (_numbers(half, text) for half in (_IMAGENET if text == IMAGENET else text).split("/"))
    for numbers in (mean, deviation):
        if len(numbers) not in (1, channels):
            fail("normalize", f"{text} has {len(numbers)} numbers, samples have {channels} channels", _REMEDY)
    return Normalize(_for_each(mean, channels), _for_each(deviation, channels), scale=white, axes=axes)


def normalization_text(given: object) -> str:
    """How a normalization is written: a name, or mean/deviation of images in 0..1, also given as a pair of numbers.

    Raises `InputError` for anything else.
    """
    match given:
        case str() if given in (DATA, IMAGENET, UNIT, RAW):
            return given
        case str() if given.count("/") == 1:
            halves: list[Sequence[float]] = [_numbers(half, given) for half in given.split("/")]
        case (mean, deviation):
            halves = [_listed(mean, given), _listed(deviation, given)]
        case _:
            fail("normalize", f"{given!r} is unknown", _REMEDY)
    means, deviations = halves
    if not means or len(means) != len(deviations):
        fail("normalize", f"{given!r} has {len(means)} means and {len(deviations)} deviations", _REMEDY)
    if not all(map(math.isfinite, means)) or not all(math.isfinite(number) and number > 0 for number in deviations):
        fail("normalize", f"{given!r} has numbers that no image can be normalized by", "give deviations above zero")
    return "/".join(",".join(f"{number:.9g}" for number in half) for half in halves)


def said_by(module: nn.Module) -> str | None:
    """How a network says that its images are to be normalized; None where it says nothing.

    It says so by an attribute `normalize`, as `normalization_text` takes it, or, as timm's networks do, by `mean` and
    `std` in its `pretrained_cfg`.
    """
    said = getattr(module, "normalize", None)
    if isinstance(said, str | tuple | list):
        return normalization_text(tuple(said) if isinstance(said, list) else said)
    config: Any = getattr(module, "pretrained_cfg", None)
    found = [config.get(key) if isinstance(config, Mapping) else getattr(config, key, None) for key in ("mean", "std")]
    return None if None in found else normalization_text(tuple(found))


def _for_each(numbers: Sequence[float], channels: int) -> list[float]:
    return [*numbers] * (channels if len(numbers) == 1 else 1)


def _numbers(text: str, whole: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        fail("normalize", f"{whole!r} is unknown", _REMEDY)


def _listed(numbers: object, given: object) -> list[float]:
    """A number, or numbers in any sequence, as a list."""
    try:
        return [float(number) for number in (numbers if isinstance(numbers, Iterable) else [numbers])]  # type: ignore[arg-type]
    except (TypeError, ValueError):
        fail("normalize", f"{given!r} is unknown", _REMEDY)
