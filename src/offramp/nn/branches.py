"""What several families of backbones are made of."""

from torch import Tensor, nn

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


class Pool(nn.Module):
    """The mean over all positions, whatever the tensor: images [B, C, H, W], tokens [B, T, C], vectors [B, C]."""

    def forward(self, x: Tensor) -> Tensor:
        """-> [B, C]."""
        if x.ndim <= 2:
            return x
        return x.mean(dim=1) if x.ndim == 3 else x.flatten(2).mean(dim=2)


def pooled_head(shape: Shape, classes: int, *, dropout: float = 0.0) -> nn.Module:
    """The general classifier: the mean over all positions and a linear layer."""
    return nn.Sequential(Pool(), nn.Dropout(dropout), nn.Linear(width(shape), classes))


def width(shape: Shape) -> int:
    """How many numbers there are at every position: of images (C, H, W), tokens (T, C), vectors (C,)."""
    return shape[-1] if len(shape) == 2 else shape[0]
