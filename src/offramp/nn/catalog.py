"""From the names a user writes to backbones and data sets."""

import re

from offramp.errors import fail
from offramp.nn.backbones.alexnet import alexnet
from offramp.nn.backbones.custom import named
from offramp.nn.backbones.inception import inceptionv3
from offramp.nn.backbones.mobilenet import mobilenetv2
from offramp.nn.backbones.resnet import resnet
from offramp.nn.backbones.vit import vit
from offramp.nn.datasets import dataset
from offramp.nn.network import Spec

__all__ = ["BACKBONES", "backbone", "dataset"]

BACKBONES = "resnet20 (or 32, 44, 56, 110), alexnet, inceptionv3, mobilenetv2, vit-tiny or package.module:factory"


def backbone(name: str) -> Spec:
    """The backbone called `name`, e.g. `resnet20`, or that a function makes: `package.module:factory`.

    Raises `InputError` for an unknown one.
    """
    if ":" in name:
        return named(name)
    if match := re.fullmatch(r"resnet(\d+)", name):
        return resnet(int(match[1]))
    match name:
        case "alexnet":
            return alexnet()
        case "inceptionv3":
            return inceptionv3()
        case "mobilenetv2":
            return mobilenetv2()
        case "vit-tiny":
            return vit()
        case _:
            fail("backbone", f"{name!r} is unknown", f"use {BACKBONES}")
