"""From the names a user writes, and the modules they have in hand, to backbones."""

import re
from pathlib import Path
from typing import TypeAlias

from torch import nn

from offramp.errors import fail
from offramp.nn.backbones.alexnet import alexnet
from offramp.nn.backbones.custom import IN_HAND, in_hand, kept_program, named, program, without_shares
from offramp.nn.backbones.inception import inceptionv3
from offramp.nn.backbones.libraries import LIBRARIES, of_library
from offramp.nn.backbones.mobilenet import mobilenetv2
from offramp.nn.backbones.onnx_file import kept_onnx, onnx_file
from offramp.nn.backbones.resnet import resnet
from offramp.nn.backbones.vit import vit
from offramp.nn.network import Spec

BACKBONES = (
    "resnet20 (or 32, 44, 56, 110), alexnet, inceptionv3, mobilenetv2, vit-tiny, package.module:factory, "
    "torchvision:NAME, timm:NAME, hf:FOLDER, FILE.pt2 or FILE.onnx"
)


BackboneSource: TypeAlias = str | nn.Module
"""What `backbone_spec` takes."""


def backbone_spec(backbone: BackboneSource, *, weights: Path | None = None) -> Spec:
    """The backbone called so, e.g. `resnet20`; that a function makes, `package.module:factory`; or a module in hand.

    `torchvision:NAME` and `timm:NAME` are those libraries' own, `hf:FOLDER` one of transformers with its weights.
    A name that ends with `.pt2` is that of a file with a `torch.export` program and its weights, one with `.onnx` that
    of a network that stays as it is. A module is cut into blocks as one that a function makes; see `backbones.custom`.
    weights: a file of weights for a module, or for what a function makes; a network known by its name has new ones.
    Raises `InputError` for an unknown name.
    """
    if isinstance(backbone, nn.Module):
        return in_hand(backbone, weights=weights)
    if not isinstance(backbone, str):
        fail("backbone", f"is {type(backbone).__name__}", "give a name, package.module:factory, or an nn.Module")
    if backbone.startswith(IN_HAND):
        kind = backbone.removeprefix(IN_HAND)
        remedy = f"hand over a {kind} with the same layers: read_run(folder, backbone=module)"
        fail("backbone", f"the network is made from a module that was in hand, a {kind}", remedy)
    if without_shares(backbone).endswith((".pt2", ".onnx")):
        if weights is not None:
            fail("weights", f"are for a network without any, and {backbone} has its own", "leave them out")
        return (onnx_file if without_shares(backbone).endswith(".onnx") else program)(Path(backbone))
    if backbone.partition(":")[0] in LIBRARIES:
        return of_library(backbone, weights=weights)
    if ":" in backbone:
        return named(backbone, weights=weights)
    if weights is not None:
        problem = f"are for a network of yours, and {backbone} is made here, with new ones"
        fail("weights", problem, "name the function that makes your network: package.module:factory")
    if match := re.fullmatch(r"resnet(\d+)", backbone):
        return resnet(int(match[1]))
    match backbone:
        case "alexnet":
            return alexnet()
        case "inceptionv3":
            return inceptionv3()
        case "mobilenetv2":
            return mobilenetv2()
        case "vit-tiny":
            return vit()
        case _:
            fail("backbone", f"{backbone!r} is unknown", f"use {BACKBONES}")


def kept_backbone(name: str, folder: Path) -> Spec | None:
    """The backbone of that name as its `Spec.keep` kept it in a folder; None where there is none."""
    return kept_program(name, folder) or kept_onnx(name, folder)
