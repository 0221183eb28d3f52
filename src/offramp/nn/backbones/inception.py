"""Inception V3: modules of parallel convolutions."""

import functools
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from offramp.nn.backbones.parts import convolution, is_small
from offramp.nn.branches import pooled_head
from offramp.nn.network import Line, Shape, Spec, of_images

_LEAST = 75  # pixels that leave one for the last module


def inceptionv3() -> Spec:
    """Inception V3, 16 blocks: the 5 convolutions of the stem, with the pooling that follows them, and 11 modules.

    Source: Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016, table 1 and
    figures 5 to 7, 10; widths as in the authors' release. The auxiliary classifier is left out: branches take its
    place. For small images the stem keeps the resolution but for its last pooling: 32x32 pixels come out of it
    as 16x16, and of the last module as 3x3.
    """
    return of_images("inceptionv3", _line)


def _line(image_shape: Shape, classes: int) -> Line:
    blocks = (_small_stem if is_small(image_shape, _LEAST) else _stem)(image_shape[0])
    blocks |= {
        "mixed5b": _pooled_five(192, 32),
        "mixed5c": _pooled_five(256, 64),
        "mixed5d": _pooled_five(288, 64),
        "mixed6a": _reduced_six(288),
        "mixed6b": _factored_seven(128),
        "mixed6c": _factored_seven(160),
        "mixed6d": _factored_seven(160),
        "mixed6e": _factored_seven(192),
        "mixed7a": _reduced_seven(768),
        "mixed7b": _expanded(1280),
        "mixed7c": _expanded(2048),
    }
    return Line(blocks, functools.partial(pooled_head, classes=classes, dropout=0.5))


def _stem(channels: int) -> dict[str, nn.Module]:
    return {
        "conv1a": _conv(channels, 32, 3, stride=2),
        "conv2a": _conv(32, 32, 3),
        "conv2b": nn.Sequential(_conv(32, 64, 3, padding=1), nn.MaxPool2d(3, stride=2)),
        "conv3b": _conv(64, 80, 1),
        "conv4a": nn.Sequential(_conv(80, 192, 3), nn.MaxPool2d(3, stride=2)),
    }


def _small_stem(channels: int) -> dict[str, nn.Module]:
    return {
        "conv1a": _conv(channels, 32, 3, padding=1),
        "conv2a": _conv(32, 32, 3, padding=1),
        "conv2b": _conv(32, 64, 3, padding=1),
        "conv3b": _conv(64, 80, 1),
        "conv4a": nn.Sequential(_conv(80, 192, 3, padding=1), nn.MaxPool2d(3, stride=2, padding=1)),
    }


class Parallel(nn.Module):
    """Layers side by side on the same input; their channels one after the other."""

    def __init__(self, paths: Iterable[nn.Module]) -> None:
        super().__init__()
        self.paths = nn.ModuleList(paths)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the paths' outputs, joined along C."""
        return torch.cat([path(x) for path in self.paths], dim=1)


def _pooled_five(channels: int, pooled: int) -> nn.Module:
    """Figure 5, the 5x5 convolutions replaced by two of 3x3 on one path."""
    return Parallel(
        [
            _conv(channels, 64, 1),
            nn.Sequential(_conv(channels, 48, 1), _conv(48, 64, 5, padding=2)),
            nn.Sequential(_conv(channels, 64, 1), _conv(64, 96, 3, padding=1), _conv(96, 96, 3, padding=1)),
            _averaged(channels, pooled),
        ]
    )


def _reduced_six(channels: int) -> nn.Module:
    """Figure 10: half the height and width."""
    return Parallel(
        [
            _conv(channels, 384, 3, stride=2),
            nn.Sequential(_conv(channels, 64, 1), _conv(64, 96, 3, padding=1), _conv(96, 96, 3, stride=2)),
            nn.MaxPool2d(3, stride=2),
        ]
    )


def _factored_seven(width: int) -> nn.Module:
    """Figure 6: 7x7 convolutions as rows and columns."""
    return Parallel(
        [
            _conv(768, 192, 1),
            nn.Sequential(_conv(768, width, 1), _row(width, width), _column(width, 192)),
            nn.Sequential(
                _conv(768, width, 1),
                _column(width, width),
                _row(width, width),
                _column(width, width),
                _row(width, 192),
            ),
            _averaged(768, 192),
        ]
    )


def _reduced_seven(channels: int) -> nn.Module:
    """Figure 10 again, deeper."""
    return Parallel(
        [
            nn.Sequential(_conv(channels, 192, 1), _conv(192, 320, 3, stride=2)),
            nn.Sequential(_conv(channels, 192, 1), _row(192, 192), _column(192, 192), _conv(192, 192, 3, stride=2)),
            nn.MaxPool2d(3, stride=2),
        ]
    )


def _expanded(channels: int) -> nn.Module:
    """Figure 7: rows and columns side by side."""
    return Parallel(
        [
            _conv(channels, 320, 1),
            nn.Sequential(_conv(channels, 384, 1), _crossed(384)),
            nn.Sequential(_conv(channels, 448, 1), _conv(448, 384, 3, padding=1), _crossed(384)),
            _averaged(channels, 192),
        ]
    )


def _crossed(width: int) -> nn.Module:
    return Parallel([_conv(width, width, (1, 3), padding=(0, 1)), _conv(width, width, (3, 1), padding=(1, 0))])


def _averaged(channels: int, width: int) -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), _conv(channels, width, 1))


def _row(channels: int, width: int) -> nn.Module:
    return _conv(channels, width, (1, 7), padding=(0, 3))


def _column(channels: int, width: int) -> nn.Module:
    return _conv(channels, width, (7, 1), padding=(3, 0))


def _conv(
    channels: int, width: int, kernel: int | tuple[int, int], *, stride: int = 1, padding: int | tuple[int, int] = 0
) -> nn.Sequential:
    return convolution(channels, width, kernel, stride=stride, padding=padding, eps=1e-3, activation=nn.ReLU())
