"""Classifying layers for a branch, after a block of any shape."""

from torch import Tensor, nn

from offramp.nn.network import Shape


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
