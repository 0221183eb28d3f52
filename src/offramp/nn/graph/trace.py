"""Any module as a line of operations, and the points of it that a single tensor passes.

A cut is where one tensor alone leads from what is before to what is after. Constants, weights, and the number of
images don't count: either side can have its own.
"""

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from offramp.errors import fail
from offramp.nn.graph.modes import Moded, mode_place
from offramp.nn.graph.operations import operation, where, written_down
from offramp.nn.graph.recurrent import is_recurrent, recurrent_work, take_layers_apart
from offramp.nn.graph.several_inputs import behind, made_of, part_of, sizes
from offramp.nn.graph.undo import Undone, undo
from offramp.nn.network import MAIN, Shape

_ATEN = torch.ops.aten
_CALL = "call_function"
_CONTIGUOUS: dict[str, fx.node.Argument] = {"memory_format": torch.contiguous_format}
_attention_flops: Callable[[Any, Any, Any], int] = sdpa_flop_count
# Attention as the CPU computes it, which the counter doesn't know.
_ATTENTION = {_ATEN._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: _attention_flops(q, k, v)}


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a module does, operation by operation.

    nodes: what depends on the images, in order; the first is the images themselves, the last the logits.
    tensors: weights, buffers and constants by the names that `parts` give them.
    names: from the nodes that stand for such tensors to their names.
    uses: per node, the names of those it takes, be it by way of what doesn't depend on the images.
    cuts: places in `nodes` of the tensors that alone lead on, in order; the first is 0, the last that of the logits.
    carried: by place of a cut, those of several inputs that lead on beside the tensor.
    part_sizes: how many numbers each of several inputs has; none where there is one.
    flops: per node, for one image.
    undone: what made probabilities of the logits, and was taken off.
    exact: whether it is the module's own operations, and no others that compute the same but for rounding.
    """

    nodes: tuple[fx.Node, ...]
    tensors: Mapping[str, Tensor]
    names: Mapping[fx.Node, str]
    uses: tuple[frozenset[str], ...]
    cuts: tuple[int, ...]
    carried: Mapping[int, tuple[int, ...]]
    part_sizes: tuple[int, ...]
    flops: tuple[int, ...]
    undone: Undone | None
    exact: bool

    def shape(self, place: int) -> Shape:
        """Of the tensor at that place, without the batch."""
        return tuple(self.nodes[place].meta["val"].shape[1:])

    def between(self, start: int, end: int) -> tuple[fx.Node, ...]:
        """The operations that lead from the tensor at `start` to the one at `end`."""
        return self.nodes[start + 1 : end + 1]

    def weights(self, start: int, end: int) -> dict[str, Tensor]:
        """The trained tensors that these operations use, by name."""
        used = sorted(frozenset().union(*self.uses[start + 1 : end + 1]))
        return {name: self.tensors[name] for name in used if isinstance(self.tensors[name], nn.Parameter)}

    def size(self, start: int, end: int) -> int:
        """How many numbers these weights have."""
        return sum(weight.numel() for weight in self.weights(start, end).values())

    def part(self, start: int, end: int) -> fx.GraphModule:
        """A module of its own that does what leads from the tensor at `start` to the one at `end`."""
        graph = fx.Graph()
        attributes: dict[str, Any] = {}
        copies = self._taken(graph, start)

        def copy(node: fx.Node) -> fx.Node:
            if node not in copies:
                copies[node] = write(node)
            return copies[node]

        def write(node: fx.Node) -> fx.Node:
            if node in self.names:
                tensor = self.tensors[self.names[node]]
                if isinstance(tensor, nn.Parameter):  # in this part alone
                    attributes[self.names[node]] = tensor
                    return graph.get_attr(self.names[node])
                # Flat, since `Module.to` can't lay out five dimensions channels-last.
                attributes[self.names[node]] = tensor.flatten().clone()
                flat = graph.get_attr(self.names[node])
                return flat if tensor.ndim == 1 else graph.call_function(_ATEN.reshape.default, (flat, [*tensor.shape]))
            if node.target is _ATEN.sym_size.int:  # the number of images, taken from this part's own input
                return graph.call_function(_ATEN.sym_size.int, (copies[self.nodes[start]], 0))
            if (place := mode_place(node)) is not None:
                name = f"modes.{node.name}"
                attributes[name] = Moded(node.target, place)
                return graph.call_module(name, fx.map_arg(node.args, copy))
            if node.target is _ATEN.contiguous.default:
                # The exporter to ONNX drops it where it did nothing when traced, though it would once exported.
                (source,) = node.all_input_nodes
                return graph.call_function(_ATEN.clone.default, (copy(source),), _CONTIGUOUS)
            copied = graph.node_copy(node, copy)
            if "device" in node.kwargs:  # of the machine it was traced on
                images = copies[self.nodes[start]]
                with graph.inserting_before(copied):
                    device = graph.call_function(getattr, (images, "device"))
                copied.kwargs = {**copied.kwargs, "device": device}
            if node.target is _ATEN.view.default:
                copied.target = _ATEN.reshape.default  # in training, tensors are laid out channels-last
            return copied

        for node in self.between(start, end):
            copy(node)
        output = copies[self.nodes[end]]
        carried = self.carried.get(end, ())
        if carried:
            inputs = {part_of(node, self.nodes[0]): node for node in self.nodes}
            rows = [graph.call_function(_ATEN.flatten.using_ints, (output, 1))]
            rows += [graph.call_function(_ATEN.to.dtype, (copy(inputs[part]), torch.float32)) for part in carried]
            output = graph.call_function(_ATEN.cat.default, (rows, 1))
        graph.output(output)
        made = fx.GraphModule(attributes, graph)
        if carried:
            made.meta[MAIN] = self.shape(end)
        return made

    def _taken(self, graph: fx.Graph, start: int) -> dict[fx.Node, fx.Node]:
        """What a part is given: the tensor at `start`, and inputs that are carried behind it."""
        row = graph.placeholder("x")
        carried = self.carried.get(start, ())
        if not carried:
            return {self.nodes[start]: row}
        shape = self.shape(start)
        main = math.prod(shape)
        own = graph.call_function(_ATEN.slice.Tensor, (row, 1, 0, main))
        # As the module has it: of rows with gaps, matrix products round otherwise.
        packed = graph.call_function(_ATEN.clone.default, (own,), _CONTIGUOUS)
        taken = {self.nodes[start]: graph.call_function(_ATEN.reshape.default, (packed, [-1, *shape]))}
        kind = self.nodes[0].meta["val"].dtype
        given = behind(graph, row, main, carried, self.part_sizes, kind)
        for node in self.nodes:
            part = part_of(node, self.nodes[0])
            if part is not None and part in given:
                taken[node] = given[part]
        return taken


def trace(module: nn.Module, image_shape: Shape, kind: torch.dtype = torch.float32) -> Trace:
    """What `module` does with a batch of samples [B, *image_shape] of that type, in evaluation mode.

    Raises `InputError` with the operation and the line where it can't be traced.
    """
    graph, tensors, names = written_down(module, image_shape, kind)
    undone = undo(graph)
    apart = take_layers_apart(graph)
    images = next(node for node in graph.nodes if node.op == "placeholder" and node not in names)
    batch = images.meta["val"].shape[0]
    dependent = _dependent(graph, images, batch)
    known = {node: tensors[name].detach().clone() for node, name in names.items()}
    values, flops = _run(graph, {**known, images: torch.zeros(1, *image_shape, dtype=kind)}, batch)
    for i, node in enumerate(_constants(graph, dependent, names, tensors)):
        names[node] = f"constants.{i}"
        tensors[names[node]] = values[node].clone()
    [[logits]] = [node.args[0] for node in graph.nodes if node.op == "output"]
    nodes = [*dependent][: [*dependent].index(logits) + 1]
    uses = tuple(_uses(node, dependent, names) for node in nodes)
    trained = [frozenset(name for name in used if isinstance(tensors[name], nn.Parameter)) for used in uses]
    work = tuple(flops[node] for node in nodes)
    again = made_of(nodes, trained, work)
    passed = {
        i: carried
        for i, carried in _passed_alone(nodes, trained, again)
        if not i or (_travels(nodes[i], batch) and nodes[i] not in again)
    }
    carried = {i: parts for i, parts in passed.items() if parts}
    exact = undone is None and not apart
    return Trace(tuple(nodes), tensors, names, uses, tuple(passed), carried, tuple(sizes(nodes)), work, undone, exact)


def widest(trace: Trace) -> str:
    """What stands most in the way of cuts: the tensor that is used longest after it was made, in words."""
    place = {node: i for i, node in enumerate(trace.nodes)}
    last = {node: max((place[user] for user in node.users if user in place), default=0) for node in trace.nodes[1:]}
    worst = max(last, key=lambda node: last[node] - place[node])
    return f"what {where(worst)} makes is used until {where(trace.nodes[last[worst]])}"


def _dependent(graph: fx.Graph, images: fx.Node, batch: Any) -> dict[fx.Node, None]:
    """What depends on what is in the images, in order. How many there are is no content of theirs."""
    dependent = {images: None}
    for node in graph.nodes:
        counts = node.target is _ATEN.sym_size.int and _same(node.meta["val"], batch)
        if node.op == _CALL and not counts and any(source in dependent for source in node.all_input_nodes):
            dependent[node] = None
    return dependent


def _constants(
    graph: fx.Graph, dependent: Container[fx.Node], names: Mapping[fx.Node, str], tensors: Mapping[str, Tensor]
) -> Iterator[fx.Node]:
    """What can be computed once and for all: neither the images, nor their number, nor weights lead to it."""
    fixed = {node for node, name in names.items() if not isinstance(tensors[name], nn.Parameter)}
    for node in graph.nodes:
        if (
            node.op == _CALL
            and node not in dependent
            and isinstance(node.meta.get("val"), Tensor)
            and all(source in fixed for source in node.all_input_nodes)
        ):
            fixed.add(node)
    for node in graph.nodes:  # in order: they are named by their numbers, and a run is read again by the names
        if node in fixed and node.op == _CALL and any(user not in fixed for user in node.users):
            yield node


def _same(size: Any, batch: Any) -> bool:
    """Whether a size is the number of images, whatever that is."""
    return isinstance(size, torch.SymInt) and size.node.expr == batch.node.expr


def _run(graph: fx.Graph, known: Mapping[fx.Node, Any], batch: Any) -> tuple[dict[fx.Node, Any], dict[fx.Node, int]]:
    """Every value, and how many floating-point operations each node took, for one image.

    Raises `InputError` with the operation where one image is no batch of images: `squeeze` takes that away.
    """
    values = dict(known)
    flops = dict.fromkeys(graph.nodes, 0)
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=_ATTENTION) as mode:
        for node in graph.nodes:
            if node.op == _CALL:
                before = mode.get_total_flops()
                values[node] = node.target(*fx.map_arg(node.args, values.get), **fx.map_arg(node.kwargs, values.get))
                flops[node] = recurrent_work(node) if is_recurrent(node) else mode.get_total_flops() - before
                if _travels(node, batch) and values[node].shape != (1, *node.meta["val"].shape[1:]):
                    problem = f"{where(node)} makes {[*values[node].shape]} of a single image, without a batch"
                    fail("backbone", problem, "write flatten(1), not squeeze()")
    return values, flops


def _uses(node: fx.Node, dependent: Container[fx.Node], names: Mapping[fx.Node, str]) -> frozenset[str]:
    used: set[str] = set()
    ahead = [*node.all_input_nodes]
    while ahead:
        source = ahead.pop()
        if source in names:
            used.add(names[source])
        elif source not in dependent:
            ahead += source.all_input_nodes
    return frozenset(used)


def _passed_alone(
    nodes: Sequence[fx.Node], trained: Sequence[Iterable[str]], again: Mapping[fx.Node, frozenset[int]]
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Places in `nodes` where nothing but the tensor there is used both before and after, and inputs carried beside it.

    trained: the weights each node uses; two parts that share one can't be kept apart.
    again: what can be made of inputs again, and of which.
    """
    last: dict[fx.Node | str, int] = {}
    for i, (node, weights) in enumerate(zip(nodes, trained, strict=True)):
        last |= dict.fromkeys((*node.all_input_nodes, *weights), i)
    reach = 0  # the last use of anything that was made before, or beside, the tensor at i
    for i, (node, weights) in enumerate(zip(nodes, trained, strict=True)):
        reach = max([reach, *(last[name] for name in weights)])
        if reach <= i and not _changed_later(node):
            used = (again[other] for other in nodes[:i] if other in again and last.get(other, 0) > i)
            yield i, tuple(sorted(frozenset().union(*used)))
        if node not in again:
            reach = max(reach, last.get(node, 0))


def _travels(node: fx.Node, batch: Any) -> bool:
    """Whether it is a tensor of numbers by image."""
    value = node.meta.get("val")
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.ndim < 2:
        return False
    return _same(value.shape[0], batch) and all(isinstance(size, int) for size in value.shape[1:])


def _changed_later(node: fx.Node) -> bool:
    """Whether the tensor, under whatever name, is changed where it lies: it couldn't be handed over unchanged."""
    for user in node.users:
        schema = user.target._schema if isinstance(user.target, OpOverload) else None
        if schema is None:
            continue
        given = [*zip(schema.arguments, user.args, strict=False)]
        taken = [argument.alias_info for argument, value in given if value is node and argument.alias_info is not None]
        if any(alias.is_write for alias in taken):
            return True
        # In evaluation mode dropout hands on the very tensor, though its schema doesn't say so.
        if (taken or "dropout" in operation(user)) and _changed_later(user):
            return True
    return False
