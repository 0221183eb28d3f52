"""A network of several inputs as one that takes them packed in a row, and what of them is carried from cut to cut.

A mask that every layer looks at stands in the way of cuts: two tensors pass, not one. But it was an input, and what is
made of it without weights can be made of it again, so the input is carried behind the block's own output.
"""

import inspect
import operator
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, fx, nn

from offramp.files.parts import Parts

_ATEN = torch.ops.aten

INSIDE = "module"
"""What the names of the parts of an `Unpacked` begin with, unlike those of the module in it."""


class Unpacked(nn.Module):
    """A module of several inputs that takes them packed.

    Inputs are given to it by name where it has parameters of these names, else in the order of their names.
    """

    def __init__(self, module: nn.Module, parts: Parts) -> None:
        super().__init__()
        self.module = module
        self.parts = parts
        named = inspect.signature(module.forward).parameters
        self.by_name = all(part.name in named for part in parts)

    def forward(self, x: Tensor) -> Any:
        """[B, n] packed -> what the module makes of the inputs; those of less than 32 bits it gets as floats."""
        rows = torch.split(x, [part.size for part in self.parts], dim=1)
        inputs = {}
        for part, row in zip(self.parts, rows, strict=True):
            kind = getattr(torch, part.kind)
            kind = kind if kind in (torch.int32, torch.int64) else torch.float32
            inputs[part.name] = row.reshape(x.shape[0], *part.shape).to(kind)
        return self.module(**inputs) if self.by_name else self.module(*inputs.values())


def part_of(node: fx.Node, packed: fx.Node) -> int | None:
    """Which of the inputs that node is; None for any other."""
    if node.target is not operator.getitem:
        return None
    source, place = node.args
    is_split = isinstance(source, fx.Node) and source.target is _ATEN.split_with_sizes.default
    return int(place) if is_split and source.args[0] is packed else None  # type: ignore[union-attr, arg-type]


def sizes(nodes: Sequence[fx.Node]) -> list[int]:
    """How many numbers each of the inputs has; none where there is one input only."""
    splits = [node for node in nodes if node.target is _ATEN.split_with_sizes.default and node.args[0] is nodes[0]]
    return [*splits[0].args[1]] if splits else []  # type: ignore[misc]


def made_of(
    nodes: Sequence[fx.Node], trained: Sequence[frozenset[str]], flops: Sequence[int]
) -> dict[fx.Node, frozenset[int]]:
    """Of what is made of inputs alone, without weights or products, the inputs that it is made of.

    trained: per node, the names of the weights that it uses.
    flops: per node, for one sample.
    """
    found: dict[fx.Node, frozenset[int]] = {}
    dependent = {*nodes}
    for node, used, work in zip(nodes[1:], trained[1:], flops[1:], strict=True):
        part = part_of(node, nodes[0])
        sources = [source for source in node.all_input_nodes if source in dependent]
        if part is not None:
            found[node] = frozenset([part])
        elif not used and not work and all(source in found for source in sources):
            found[node] = frozenset().union(*(found[source] for source in sources))
    return found


def behind(
    graph: fx.Graph, row: fx.Node, main: int, carried: Sequence[int], part_sizes: Sequence[int], kind: torch.dtype
) -> Mapping[int, fx.Node]:
    """The inputs that are carried in a row [B, n] behind a block's own output of `main` numbers, by their place.

    kind: of packed inputs; whole numbers are rounded, as a codec may have changed them a little.
    """
    begins = accumulate((part_sizes[part] for part in carried), initial=main)
    nodes = {}
    for part, begin in zip(carried, begins, strict=False):
        node = graph.call_function(_ATEN.slice.Tensor, (row, 1, begin, begin + part_sizes[part]))
        if not kind.is_floating_point:
            node = graph.call_function(_ATEN.to.dtype, (graph.call_function(_ATEN.round.default, (node,)), kind))
        nodes[part] = node
    return nodes
