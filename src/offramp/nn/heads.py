"""Light branches for a network that stays as it was given: a small family, from cheap to less cheap.

A head has three parts. `reduce` has no weights and leaves few numbers of a block's output, at most `MOST_NUMBERS` of a
map: what it leaves is what training keeps of a sample. `summary` has no weights either, `classifier` has them all.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from offramp.nn.branches import Pool, pooled_head
from offramp.nn.network import Main, Output, Shape

MOST_NUMBERS = 4096
"""That are kept of a map [C, H, W] or a signal [C, L], unless it has more channels: as many are kept of any."""

# Of a side of what is kept, and of what a linear layer looks at.
_WIDEST, _WIDEST_LINEAR = 8, 4
_MOST_INPUTS = 2048
_HIDDEN = 64
_CHANNELS = range(32, 129)
_FREE_WEIGHTS = 8192
_WORK_SHARE = 0.25


class Head(nn.Module):
    """A branch in three parts."""

    def __init__(self, reduce: nn.Module, summary: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.reduce = reduce
        self.summary = summary
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """A block's output [B, ...] -> logits [B, classes]."""
        logits: Tensor = self.classifier(self.summary(self.reduce(x)))
        return logits


class FirstAndMean(nn.Module):
    """Of tokens the first, which may be the class's own, and the mean of all."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, C] -> [B, 2, C]."""
        return torch.stack([x[:, 0], x.mean(dim=1)], dim=1)


class Pick(nn.Module):
    """One of several tokens."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, C] -> [B, C]."""
        return x[:, self.place]


class ChannelsFirst(nn.Module):
    """Maps whose channels come last, as some transformers have them, in the usual order."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> [B, C, H, W]."""
        return x.permute(0, 3, 1, 2)


class AsMap(nn.Module):
    """Signals as maps of one row."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, L] -> [B, C, 1, L]."""
        return x.unsqueeze(2)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a module, for one sample.

    weights: how many it has.
    work: its multiplications with weights.
    """

    weights: int
    work: int


def reduction(output: Output) -> nn.Module:
    """What leaves few numbers of a block's output [B, *shape], the same for all heads of it.

    Of a map [C, H, W] the means of a grid of cells, as fine as `MOST_NUMBERS` lets it be and 8x8 at most; of a signal
    [C, L] as of a map of one row; of tokens [T, C] the first and the mean; a vector stays.
    """
    if output.row is not None:
        return nn.Sequential(Main(output.shape), reduction(replace(output, row=None)))
    shape = output.shape
    if output.signal:
        pool = _grid((1, shape[1]), _cells(shape[0], MOST_NUMBERS, _WIDEST**2, axes=1))
        return nn.Sequential(AsMap(), pool)
    if len(shape) == 3:
        channels, *sides = _channels_first(shape)
        pool = _grid(tuple(sides), _cells(channels, MOST_NUMBERS, _WIDEST))
        return pool if _channels_first(shape) == shape else nn.Sequential(ChannelsFirst(), pool)
    if len(shape) == 2:
        return FirstAndMean()
    return nn.Identity() if len(shape) == 1 else Pool()


def kinds(output: Output) -> tuple[str, ...]:
    """The heads there are for a block's output."""
    shape = output.shape
    if output.signal or len(shape) == 3:
        several = math.prod(reduced_shape(output)[1:]) > 1
        return ("linear", "grid", "bottleneck", "convolution") if several else ("linear", "bottleneck")
    return ("first", "mean", "bottleneck") if len(shape) == 2 else ("linear", "bottleneck")


def make(kind: str, output: Output, classes: int) -> Head:
    """A head of a kind of `kinds`, with new weights.

    linear, first, mean: one linear layer, on the mean of all cells, the first token, the mean of all.
    grid: one linear layer on every cell of a grid of 4x4 at most.
    bottleneck: two linear layers around 64 hidden numbers, on that grid, or on both tokens.
    convolution: a 3x3 convolution of every channel for itself, one across channels, and a linear layer on their mean.
    """
    reduce = reduction(output)
    kept = reduced_shape(output)
    if kind == "convolution":
        return Head(reduce, nn.Identity(), _separable(kept[0], classes))
    match kind:
        case "first" | "mean":
            summary: nn.Module = Pick(("first", "mean").index(kind))
        case "grid" | "bottleneck" if len(kept) == 3:
            widest = _WIDEST_LINEAR**2 if output.signal else _WIDEST_LINEAR
            cells = _grid(kept[1:], _cells(kept[0], _MOST_INPUTS, widest, axes=1 if output.signal else 2))
            summary = nn.Sequential(cells, nn.Flatten())
        case "bottleneck":
            summary = nn.Flatten()
        case _:
            summary = Pool()
    width = int(_after(summary, kept)[0])
    if kind == "bottleneck":
        classifier = nn.Sequential(nn.Linear(width, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, classes))
    else:
        classifier = nn.Sequential(nn.Linear(width, classes))
    return Head(reduce, summary, classifier)


def candidates(block: nn.Module, given: Tensor, output: Output, classes: int) -> Mapping[str, Cost]:
    """The heads that a block may have, the least work first, of equal ones the fewest weights first.

    given: [1, ...] what the block takes, to make that output.
    The first is always among them. The others have no more weights than the block, or 8,192 where it has fewer, and a
    quarter of its work at most. Work is counted and not timed: times change from one run to the next, and what was
    interrupted has to choose the same again.
    """
    bound = cost(block, given)
    x = torch.zeros(1, *output.taken)
    costs = {kind: cost(make(kind, output, classes), x) for kind in kinds(output)}
    ordered = sorted(costs, key=lambda kind: (costs[kind].work, costs[kind].weights))
    return {
        kind: costs[kind]
        for place, kind in enumerate(ordered)
        if not place
        or (costs[kind].weights <= max(bound.weights, _FREE_WEIGHTS) and costs[kind].work <= _WORK_SHARE * bound.work)
    }


def cost(module: nn.Module, given: Tensor) -> Cost:
    """Of a module that takes one sample [1, ...]; its mode stays as it is.

    What isn't computed in torch has its cost as an attribute.
    """
    training = module.training
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.eval()(given)
    module.train(training)
    said = [known for part in module.modules() if isinstance(known := getattr(part, "cost", None), Cost)]
    weights = sum(weight.numel() for weight in module.parameters()) + sum(part.weights for part in said)
    return Cost(weights, counter.get_total_flops() // 2 + sum(part.work for part in said))


def reduced_shape(output: Output) -> Shape:
    """Of what `reduction` leaves of one sample."""
    return _after(reduction(output), output.taken)


def lightest(shape: Shape, classes: int) -> nn.Module:
    """The branch that needs no choice: pooling and a linear layer."""
    return pooled_head(shape, classes)


def _after(module: nn.Module, shape: Shape) -> Shape:
    with torch.no_grad():
        return tuple(module(torch.zeros(1, *shape)).shape[1:])


def _channels_first(shape: Shape) -> Shape:
    """(C, H, W), where channels may come last: then the first two sides are those of a square."""
    first, second, third = shape
    return (third, first, second) if first == second != third else shape


def _cells(channels: int, most: int, widest: int, *, axes: int = 2) -> int:
    """Of a side of the finest grid with that many numbers at most."""
    room = most // channels
    return max(1, min(widest, math.isqrt(room) if axes == 2 else room))


def _grid(sides: tuple[int, ...], cells: int) -> nn.Module:
    """The mean of every cell of a grid, fewer on a shorter side; cells overlap where that divides badly.

    Not `AdaptiveAvgPool2d`, which can't be exported where cells differ in size.
    """
    strides = [side // min(cells, side) for side in sides]
    kernels = [side - (min(cells, side) - 1) * stride for side, stride in zip(sides, strides, strict=True)]
    if kernels == [1, 1]:
        return nn.Identity()
    return nn.AvgPool2d((kernels[0], kernels[1]), stride=(strides[0], strides[1]))


def _separable(channels: int, classes: int) -> nn.Module:
    """A depthwise-separable convolution: Howard et al., MobileNets, 2017, section 3.1."""
    width = min(max(channels, _CHANNELS.start), _CHANNELS.stop - 1)
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        Pool(),
        nn.Linear(width, classes),
    )
