"""What several families of backbones are made of."""

from torch import nn

from offramp.nn.network import Shape

_SMALL = 64


def is_small(image_shape: Shape, below: int = _SMALL) -> bool:
    """Whether images (C, H, W) are too small for a stem that was made for ImageNet: below so many pixels."""
    return min(image_shape[1:]) < below


def convolution(
    channels: int,
    width: int,
    kernel: int | tuple[int, int],
    *,
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
    groups: int = 1,
    eps: float = 1e-5,
    activation: nn.Module | None = None,
) -> nn.Sequential:
    """A convolution without a bias, batch normalization, and the activation if there is one."""
    layer = nn.Conv2d(channels, width, kernel, stride=stride, padding=padding, groups=groups, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out")
    return nn.Sequential(layer, nn.BatchNorm2d(width, eps=eps), *([] if activation is None else [activation]))
