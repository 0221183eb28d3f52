"""Any image classifier as a line of blocks with branches, cut where one tensor alone leads on."""

import copy
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol

import torch
from torch import Tensor, fx, nn

from offramp.errors import fail
from offramp.nn.branches import pooled_head, width
from offramp.nn.graph.check import REMEDY, check_parts, samples_like
from offramp.nn.graph.modes import BATCH_NORM
from offramp.nn.graph.operations import operation, where
from offramp.nn.graph.trace import Trace, trace, widest
from offramp.nn.graph.undo import has_one_output
from offramp.nn.network import Line, Output, Shape

MIN_WORK = 0.01
# Where these don't change the shape, as on images of one pixel, they are the classifier's all the same.
_CLASSIFYING = ("layer_norm", "group_norm", "linear", "pool", "mean")


class Cuttable(Protocol):
    """A network as a line of operations, as `Trace` is one."""

    @property
    def flops(self) -> Sequence[int]:
        """Per operation, for one sample."""

    def shape(self, place: int) -> Shape:
        """Of the tensor at that place, without the batch."""

    def size(self, start: int, end: int) -> int:
        """How many numbers the weights have that lead from the tensor at `start` to the one at `end`."""


def cut(
    module: nn.Module,
    image_shape: Shape,
    kind: torch.dtype = torch.float32,
    *,
    classes: int | None = None,
    min_work: float = MIN_WORK,
    min_size: float = 0.0,
) -> Line:
    """Blocks that compute what `module` computes, bit for bit, in evaluation mode, and branches like its classifier.

    module: takes normalized samples, images as [B, C, H, W] float32, and returns logits [B, classes], as `logits_of`
        finds them. Where it ends in a softmax, or in the sigmoid of its only output, the logits are what goes into
        that. Its weights become those of the blocks. Dropout and batch normalization go on to know training from
        evaluation; whatever else it does differently in training is left out. Of several recurrent layers in one
        module every one is computed for itself, which may round otherwise.
    image_shape: (C, H, W) of images, else the shape of a sample.
    kind: the type of its numbers, as the module gets them.
    classes: how many the data have, where that is known.
    min_work: the least share of the network's arithmetic that a block may have; it stands for time, which would cut
        the same network differently on every machine.
    min_size: the least share of its weights.

    A branch is made of the classifier's own layers, as wide as they have to be there; where they can't be had for
    an output of that shape, or would have more than twice the weights, it is pooling and a linear layer.
    Raises `InputError` where the module can't be traced or has no cut, with the operation and the line.
    """
    with operations_alone():
        return _cut(module, image_shape, kind, classes, min_work=min_work, min_size=min_size)


def _cut(
    module: nn.Module, image_shape: Shape, kind: torch.dtype, classes: int | None, *, min_work: float, min_size: float
) -> Line:
    _check_statistics(module)
    traced = trace(module, image_shape, kind)
    if classes not in (None, 2) and has_one_output(traced.nodes[-1]):
        problem = f"returns one number for each sample, which tells two classes apart, and the data have {classes}"
        fail("backbone", problem, "give it an output for each class, or data of two")
    places = _body(traced)
    if len(places) < 3:
        fail("backbone", f"there is no point that one tensor passes alone: {widest(traced)}", REMEDY)
    ends = list(grouped(traced, places, min_work=min_work, min_size=min_size))
    if len(ends) < 2:
        _refuse_one_block(traced, ends[-1])
    parts = [traced.part(start, end) for start, end in zip((0, *ends), ends, strict=False)]
    classifier = traced.part(ends[-1], len(traced.nodes) - 1)
    check_parts(module, traced, ends, parts, classifier, samples_like(image_shape, kind))
    names = _names(traced, ends)
    outputs = traced.shape(len(traced.nodes) - 1)[0]
    blocks = dict(zip(names, parts, strict=True))
    note = f"its {traced.undone} is taken off: exits need what goes into it, and say the same" if traced.undone else ""
    signals = any(Output.of(part, (1, 1)).signal for part in parts)
    if ends[-1] in traced.carried:  # the classifier looks at inputs, too
        pooled = functools.partial(pooled_head, classes=outputs, signals=signals)
        return Line(blocks, pooled, last=classifier, note=note)
    branch = functools.partial(_branch, classifier, like=traced.shape(ends[-1]), classes=outputs, signals=signals)
    return Line(blocks, branch, note=note)


@contextmanager
def operations_alone() -> Iterator[None]:
    """Let torch not compute attention as one fused operation where no gradients are asked for.

    It isn't what is trained, it hides the operations that are cut, and its numbers are rounded differently.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def _check_statistics(module: nn.Module) -> None:
    """Refuse batch normalization that averages over all batches: how many there were isn't traced."""
    names = [
        name
        for name, layer in module.named_modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.track_running_stats and layer.momentum is None
    ]
    if names:
        problem = f"batch normalization without momentum would never learn its statistics: {', '.join(names)}"
        fail("backbone", problem, "give it a momentum, e.g. 0.1")


def _body(traced: Trace) -> tuple[int, ...]:
    """The cuts before the classifier: the images first, what the classifier takes last.

    The classifier begins behind the last product that isn't a linear layer on one vector per image, with a
    normalization of layers or groups, or with whatever else changes the shape: pooling, picking a token.
    """
    products = [i for i, flops in enumerate(traced.flops) if flops]
    maps = [i for i in products if not _on_vector(traced.nodes[i])]
    # A perceptron has vectors throughout: its last layer classifies.
    behind = maps[-1] if maps else products[-2] if len(products) > 1 else 0
    cuts = [0, *(place for place in traced.cuts if place)]
    begin = next(i for i, place in enumerate(cuts) if place >= behind)
    while begin + 1 < len(cuts) - 1 and _keeps(traced, cuts[begin], cuts[begin + 1]):
        begin += 1
    return tuple(cuts[: begin + 1])


def _on_vector(node: fx.Node) -> bool:
    value = node.all_input_nodes[0].meta.get("val")
    return operation(node) in ("linear", "addmm") and isinstance(value, Tensor) and value.ndim == 2


def _keeps(traced: Trace, start: int, end: int) -> bool:
    """Whether what leads from `start` to `end` belongs to what is before: activations, batch normalization."""
    done = " ".join(operation(node) for node in traced.between(start, end))
    return traced.shape(start) == traced.shape(end) and not any(name in done for name in _CLASSIFYING)


def grouped(traced: Cuttable, places: Sequence[int], *, min_work: float, min_size: float) -> Iterator[int]:
    """The last places of blocks that have the shares asked for; what is too small joins the block before it.

    A block begins with a product (a convolution, a linear layer, attention): what only normalizes, activates, pools
    or reshapes stays with what it is applied to. Behind the last weights, where there is a choice, the smallest
    tensor is cut, of equal ones the last.
    """
    work = max(sum(traced.flops[: places[-1] + 1]), 1)
    size = max(traced.size(0, places[-1]), 1)

    def enough(start: int, end: int) -> bool:
        share = sum(traced.flops[start + 1 : end + 1]) / work
        return share >= min_work and share > 0 and traced.size(start, end) / size >= min_size

    start = 0
    i = 1
    while i < len(places):
        if enough(start, places[i]):
            choice = [places[i]]
            while i + 1 < len(places) and not any(traced.flops[places[i] + 1 : places[i + 1] + 1]):
                i += 1
                choice = [places[i]] if traced.size(places[i - 1], places[i]) else [*choice, places[i]]
            end = min(reversed(choice), key=lambda place: int(torch.Size(traced.shape(place)).numel()))
            if not enough(end, places[-1]):
                break  # the rest is too small for a block of its own
            yield end
            start = end
        i += 1
    yield places[-1]


def _refuse_one_block(traced: Trace, end: int) -> NoReturn:
    products = [node for node, flops in zip(traced.nodes[: end + 1], traced.flops, strict=False) if flops]
    if len(products) == 1:
        problem = f"all of its work before the classifier is in {where(products[0])}, which can't be cut"
        fail("backbone", problem, "give it a second layer, or one before it")
    fail("backbone", "all of it falls into one block", "ask for smaller blocks: less work, less size")


def _names(traced: Trace, ends: Sequence[int]) -> Iterator[str]:
    """Every block by the module that its products lie in, as the model's author called it; no two alike."""
    paths = [
        [_path(traced.nodes[i]) for i in range(start + 1, end + 1) if traced.flops[i]]
        for start, end in zip((0, *ends), ends, strict=False)
    ]
    common = [_common(inside) for inside in paths]
    seen: dict[str, int] = {}
    for i, (path, inside) in enumerate(zip(common, paths, strict=True)):
        # A module that other blocks lie in as well says too little: then its part in which this block ends.
        shared = any(path == other[: len(path)] for other in (*common[:i], *common[i + 1 :]))
        name = ".".join(inside[-1][: len(path) + 1] if shared else path) or "block"
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}-{seen[name]}"


def _common(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    levels = zip(*paths, strict=False)
    return tuple(level[0] for level in itertools.takewhile(lambda level: len(set(level)) == 1, levels))


def _path(node: fx.Node) -> tuple[str, ...]:
    """Of the module that did it, within the model."""
    stack: Mapping[str, Any] = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values()]
    return tuple(paths[-1].split(".")[1:]) if paths else ()


def _branch(classifier: fx.GraphModule, shape: Shape, *, like: Shape, classes: int, signals: bool) -> nn.Module:
    """The classifier for an output of `shape`; it was made for one like `like`.

    signals: whether shapes of two axes are those of signals [C, L].
    """
    own = copy.deepcopy(classifier)
    if shape == like:
        return own
    if len(shape) == len(like):
        widened = _Widened(own.eval())
        try:
            logits = widened.run(torch.zeros(2, *shape))
        except (RuntimeError, IndexError, TypeError, ValueError):
            logits = torch.empty(0)  # it reckons with the shape it was made for
        bound = 2 * sum(weight.numel() for weight in classifier.parameters())
        small = sum(weight.numel() for weight in own.parameters()) <= bound
        # One that takes any width for its own has mixed channels with positions.
        if logits.shape == (2, classes) and small and widened.linear == (width(shape, signals) != width(like, signals)):
            own.recompile()
            return own.train()
    return pooled_head(shape, classes, signals=signals)


class _Widened(fx.Interpreter):
    """Runs a classifier on an output of another width, and gives the layers that don't fit it new weights."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.linear = False
        """Whether a linear layer got new weights."""

    def run_node(self, n: fx.Node) -> Any:
        if n.op == "call_function" and operation(n) == "linear":
            features, weight = self._value(n.args[0]).shape[-1], self._value(n.args[1])
            if features != weight.shape[1]:
                self.linear = True
                self._renew(n.args[1], nn.Linear(features, weight.shape[0]).weight)
        elif n.op == "call_function" and operation(n) == "layer_norm" and _dimensions(n.args[1]) == 1:
            width = self._value(n.args[0]).shape[-1]
            n.args = (n.args[0], [width], *n.args[2:])
            self._norm(n.args[2:4], width)
        elif n.op == "call_function" and operation(n) == "group_norm":
            self._norm(n.args[2:4], self._value(n.args[0]).shape[1])
        elif n.op == "call_module" and isinstance(n.target, str) and self.fetch_attr(n.target).place == BATCH_NORM:
            x, weight_node, bias, mean, variance = n.args[:5]
            channels = self._value(x).shape[1]
            self._norm((weight_node, bias), channels)
            self._norm((variance, mean), channels)
        return super().run_node(n)

    def _value(self, argument: fx.node.Argument) -> Tensor:
        """The tensor that an operation takes. Raises `TypeError` for another argument."""
        value = self.env[argument] if isinstance(argument, fx.Node) else argument
        if not isinstance(value, Tensor):
            raise TypeError(f"{argument} is no tensor")
        return value

    def _norm(self, nodes: Sequence[Any], width: int) -> None:
        """Ones for the first of the nodes, zeros for the second, where they have another width."""
        for node, fill in zip(nodes, (1.0, 0.0), strict=False):
            if isinstance(node, fx.Node) and len(self.env[node]) != width:
                self._renew(node, torch.full((width,), fill))

    def _renew(self, node: fx.node.Argument, tensor: Tensor) -> None:
        """Give the module another tensor under the name that `node` reads. Raises `TypeError` where it reads none."""
        if not isinstance(node, fx.Node) or not isinstance(node.target, str):
            raise TypeError(f"{node} is no weight of the module")
        path, _, name = node.target.rpartition(".")
        parent = self.module.get_submodule(path)
        new = nn.Parameter(tensor.detach()) if isinstance(self.env[node], nn.Parameter) else tensor
        setattr(parent, name, new)
        self.env[node] = new


def _dimensions(shape: fx.node.Argument) -> int:
    return len(shape) if isinstance(shape, Sequence) else 0
