"""Classifying layers for a branch, after a block of any shape."""

from torch import Tensor, nn

from offramp.nn.network import Shape


class Pool(nn.Module):
    """The mean over all positions, whatever the tensor: images [B, C, H, W], tokens [B, T, C], vectors [B, C].

    signals: whether three axes are those of signals [B, C, L].
    """

    def __init__(self, *, signals: bool = False) -> None:
        super().__init__()
        self.signals = signals

    def forward(self, x: Tensor) -> Tensor:
        """-> [B, C]."""
        if x.ndim <= 2:
            return x
        return x.mean(dim=1) if x.ndim == 3 and not self.signals else x.flatten(2).mean(dim=2)


def pooled_head(shape: Shape, classes: int, *, dropout: float = 0.0, signals: bool = False) -> nn.Module:
    """The general classifier: the mean over all positions and a linear layer."""
    return nn.Sequential(Pool(signals=signals), nn.Dropout(dropout), nn.Linear(width(shape, signals), classes))


def width(shape: Shape, signals: bool = False) -> int:
    """How many numbers are at every position: of images (C, H, W), tokens (T, C), vectors (C,), signals (C, L)."""
    return shape[-1] if len(shape) == 2 and not signals else shape[0]
