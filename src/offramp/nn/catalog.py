"""From the names a user writes to backbones and data sets."""

import re

from offramp.errors import fail
from offramp.nn.backbones.resnet import resnet
from offramp.nn.data import Dataset, digits
from offramp.nn.network import Spec


def backbone(name: str) -> Spec:
    """The backbone called `name`, e.g. `resnet20`. Raises `InputError` for an unknown one."""
    if match := re.fullmatch(r"resnet(\d+)", name):
        return resnet(int(match[1]))
    fail("backbone", f"{name!r} is unknown", "use resnet20, or another ResNet of depth 6n+2")


def dataset(name: str, *, seed: int) -> Dataset:
    """The data set called `name`, split by `seed`. Raises `InputError` for an unknown one."""
    match name:
        case "digits":
            return digits(seed=seed)
        case _:
            fail("data", f"{name!r} is unknown", "use digits")
