"""AlexNet: five convolutional layers and two of the three fully connected ones; the third classifies."""

import functools

import torch
from torch import nn

from offramp.nn.backbones.parts import is_small
from offramp.nn.branches import pooled_head
from offramp.nn.network import Line, Shape, Spec, of_images, output_of

_HIDDEN = 4096
_LEAST = 67  # pixels that leave one for the last pooling


def alexnet() -> Spec:
    """AlexNet, 7 blocks: every layer but the last, with the normalization and the pooling that follow it.

    Source: Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks, NeurIPS 2012,
    section 3.5; the halves of layers 2, 4 and 5 see their own half of the channels, as on the two GPUs there.
    Small images get a first layer of 5x5 pixels with stride 1, as in the authors' networks for CIFAR-10.
    """
    return of_images("alexnet", _line)


def _line(image_shape: Shape, classes: int) -> Line:
    stem = (
        nn.Conv2d(image_shape[0], 96, 5, padding=2)
        if is_small(image_shape, _LEAST)
        else nn.Conv2d(image_shape[0], 96, 11, stride=4)
    )
    convolutional = {
        "conv1": nn.Sequential(stem, nn.ReLU(), _normalize(), _pool()),
        "conv2": nn.Sequential(nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), _normalize(), _pool()),
        "conv3": nn.Sequential(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        "conv4": nn.Sequential(nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU()),
        "conv5": nn.Sequential(nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), _pool()),
    }
    features = output_of(nn.Sequential(*convolutional.values()), torch.zeros(1, *image_shape)).numel()
    connected = {
        "full6": nn.Sequential(nn.Flatten(), nn.Linear(features, _HIDDEN), nn.ReLU(), nn.Dropout(0.5)),
        "full7": nn.Sequential(nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(), nn.Dropout(0.5)),
    }
    return Line(convolutional | connected, functools.partial(pooled_head, classes=classes))


def _normalize() -> nn.Module:
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)  # torch divides alpha by 5, the paper doesn't


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, stride=2)
