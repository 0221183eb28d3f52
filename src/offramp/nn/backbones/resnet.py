"""CIFAR ResNets: a stem and 3n residual blocks, 6n+2 weighted layers."""

import functools

import torch.nn.functional as F
from torch import Tensor, nn

from offramp.errors import fail
from offramp.nn.network import Line, Shape, Spec, of_images

_WIDTHS = (16, 32, 64)


def resnet(depth: int) -> Spec:
    """The CIFAR ResNet with `depth` = 6n+2 weighted layers: 1+3n blocks, e.g. 10 of ResNet-20, 55 of ResNet-110.

    Source: He et al., Deep Residual Learning for Image Recognition, CVPR 2016, section 4.2.
    Raises `InputError` for any other depth.
    """
    if depth < 8 or depth % 6 != 2:
        fail("backbone", f"there is no ResNet of depth {depth}", "use a depth of 6n+2: resnet20, resnet32, resnet110")
    return of_images(f"resnet{depth}", functools.partial(_line, (depth - 2) // 6))


def _line(blocks_per_stage: int, image_shape: Shape, classes: int) -> Line:
    return Line(_blocks(blocks_per_stage, image_shape[0]), functools.partial(_branch, classes=classes))


def _branch(shape: Shape, classes: int) -> nn.Module:
    """The classifying layers of every ResNet: global average pooling and a linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(shape[0], classes))


def _blocks(blocks_per_stage: int, colors: int) -> dict[str, nn.Module]:
    stem = nn.Sequential(_conv(colors, _WIDTHS[0]), nn.BatchNorm2d(_WIDTHS[0]), nn.ReLU())
    blocks: dict[str, nn.Module] = {"stem": stem}
    channels = _WIDTHS[0]
    for stage, width in enumerate(_WIDTHS, start=1):
        for position in range(1, blocks_per_stage + 1):
            blocks[f"stage{stage}-{position}"] = ResidualBlock(channels, width)
            channels = width
    return blocks


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut; where the channels grow, the image halves.

    The shortcut has no weights (option A of He et al.): every second pixel, new channels zero.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.stride = 1 if channels == width else 2
        self.new_channels = width - channels
        self.conv1 = _conv(channels, width, stride=self.stride)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, width, H / stride, W / stride]."""
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.new_channels:
            before = self.new_channels // 2
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, before, self.new_channels - before))
        return F.relu(x + y)


def _conv(channels: int, width: int, *, stride: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    return conv
