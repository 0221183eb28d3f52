"""A small vision transformer."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from offramp.errors import fail
from offramp.nn.backbones.parts import is_small
from offramp.nn.network import Line, Shape, Spec, of_images

_WIDTH, _HEADS, _DEPTH = 192, 3, 12
_PATCHES_PER_SIDE = {False: 14, True: 8}  # by whether images are small
_EPS = 1e-6


def vit() -> Spec:
    """ViT-Tiny, 13 blocks: the embedded patches and 12 encoder layers.

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021; the size is that of Touvron et al.,
    Training Data-Efficient Image Transformers, ICML 2021 (DeiT-Ti). Small images are cut into 8x8 patches (of
    4x4 pixels in images of 32x32), others into 14x14.
    """
    return of_images("vit-tiny", _line)


def _line(image_shape: Shape, classes: int) -> Line:
    blocks: dict[str, nn.Module] = {"patches": Patches(image_shape)}
    blocks |= {f"layer{i}": EncoderLayer() for i in range(1, _DEPTH + 1)}
    return Line(blocks, functools.partial(_branch, classes=classes))


def _branch(shape: Shape, classes: int) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(shape[-1], eps=_EPS), ClassToken(), _linear(shape[-1], classes))


class Patches(nn.Module):
    """Every patch by a linear layer, before them a token of its own for the class, and where each stands."""

    def __init__(self, image_shape: Shape) -> None:
        super().__init__()
        channels, height, width = image_shape
        side = _PATCHES_PER_SIDE[is_small(image_shape)]
        if height != width or height % side:
            fail("backbone", f"vit-tiny can't cut images of {height}x{width} into {side}x{side} patches",
                 f"use square images with a side that is a multiple of {side}")  # fmt: skip
        self.project = nn.Conv2d(channels, _WIDTH, height // side, stride=height // side)
        self.token = nn.Parameter(torch.empty(1, 1, _WIDTH))
        self.positions = nn.Parameter(torch.empty(1, side * side + 1, _WIDTH))
        for weight in (self.token, self.positions, self.project.weight):
            nn.init.trunc_normal_(weight, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> tokens [B, T, D], the class first."""
        patches = self.project(images).flatten(2).transpose(1, 2)
        return torch.cat([self.token.expand(images.shape[0], -1, -1), patches], dim=1) + self.positions


class EncoderLayer(nn.Module):
    """Attention and a perceptron, each normalized before and added to what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(_WIDTH, eps=_EPS)
        self.queries_keys_values = _linear(_WIDTH, 3 * _WIDTH)
        self.project = _linear(_WIDTH, _WIDTH)
        self.norm2 = nn.LayerNorm(_WIDTH, eps=_EPS)
        self.perceptron = nn.Sequential(_linear(_WIDTH, 4 * _WIDTH), nn.GELU(), _linear(4 * _WIDTH, _WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [B, T, D] -> the same shape."""
        split = self.queries_keys_values(self.norm1(x)).unflatten(2, (3, _HEADS, _WIDTH // _HEADS))
        queries, keys, values = split.permute(2, 0, 3, 1, 4).unbind()  # each [B, heads, T, D / heads]
        attended = F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2)
        x = x + self.project(attended)
        y: Tensor = x + self.perceptron(self.norm2(x))
        return y


class ClassToken(nn.Module):
    """What became of the token for the class."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] -> [B, D]."""
        return x[:, 0]


def _linear(features: int, width: int) -> nn.Linear:
    layer = nn.Linear(features, width)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer
