"""MobileNetV2: inverted residuals with linear bottlenecks."""

import functools

from torch import Tensor, nn

from offramp.nn.backbones.parts import convolution, is_small
from offramp.nn.branches import pooled_head
from offramp.nn.network import Line, Shape, Spec, of_images

# Expansion, channels, how many, stride of the first: table 2 of the paper.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_STEM, _LAST = 32, 1280


def mobilenetv2() -> Spec:
    """MobileNetV2, 19 blocks: the stem, 17 bottlenecks, the last convolution.

    Source: Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2.
    For small images the stem and the second stage keep the resolution.
    """
    return of_images("mobilenetv2", _line)


def _line(image_shape: Shape, classes: int) -> Line:
    small = is_small(image_shape)
    blocks: dict[str, nn.Module] = {
        "stem": convolution(image_shape[0], _STEM, 3, stride=1 if small else 2, padding=1, activation=nn.ReLU6())
    }
    channels = _STEM
    for stage, (expansion, width, count, first_stride) in enumerate(_STAGES, start=1):
        for position in range(1, count + 1):
            stride = first_stride if position == 1 and not (small and stage == 2) else 1
            blocks[f"stage{stage}-{position}"] = Bottleneck(channels, width, expansion=expansion, stride=stride)
            channels = width
    blocks["last"] = convolution(channels, _LAST, 1, activation=nn.ReLU6())
    return Line(blocks, functools.partial(pooled_head, classes=classes, dropout=0.2))


class Bottleneck(nn.Module):
    """Widen by 1x1, filter each channel by 3x3, narrow by 1x1; with a shortcut where the shape stays."""

    def __init__(self, channels: int, width: int, *, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = expansion * channels
        self.shortcut = stride == 1 and channels == width
        self.layers = nn.Sequential(
            *([convolution(channels, hidden, 1, activation=nn.ReLU6())] if expansion > 1 else []),
            convolution(hidden, hidden, 3, stride=stride, padding=1, groups=hidden, activation=nn.ReLU6()),
            convolution(hidden, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, width, H / stride, W / stride]."""
        y: Tensor = self.layers(x)
        return x + y if self.shortcut else y
