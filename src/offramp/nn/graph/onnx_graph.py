"""The graph of an ONNX file as a line of operations, and the points of it that a single tensor passes.

As in `trace`: a cut is where one tensor alone leads from what is before to what is after. Constants, weights and the
number of samples don't count: either side can have its own.
"""

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from offramp.nn.network import Shape
from offramp.nn.onnx_block import inputs_of

INPUT = "x"
_BATCH = 3
_FLOAT = np.dtype(np.float32)
# Where these don't change the shape, they are the classifier's all the same.
_CLASSIFYING = re.compile(r".*(Normalization|Pool|Gemm|MatMul|ReduceM\w+)")
_VECTOR = ("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul", "FusedMatMul")
# Which of their inputs are the weights.
_CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "FusedConv": 1, "QLinearConv": 3}
_RECURRENT = ("RNN", "GRU", "LSTM")


@dataclass(frozen=True, slots=True, eq=False)
class OnnxTrace:
    """What the graph does, operation by operation.

    model: with one input, `x`.
    nodes: places in its graph of those that depend on the samples, in order.
    values: names of what these make, the samples themselves first: one more than there are nodes.
    arrays: shapes and types of all tensors for three samples, by name.
    counts: nodes that say the shape of a tensor [B, ...], or a part of it, by what they make. All but the number of
        samples is known.
    cuts: places in `values` of the tensors that alone lead on, in order; the first is 0, the last that of the logits.
    flops, sizes: per value, of what makes it: for one sample, and how many numbers its weights have.
    """

    model: ModelProto
    nodes: tuple[int, ...]
    values: tuple[str, ...]
    arrays: Mapping[str, tuple[Shape, np.dtype[np.generic]]]
    counts: Mapping[str, NodeProto]
    cuts: tuple[int, ...]
    flops: tuple[int, ...]
    sizes: tuple[int, ...]

    def shape(self, place: int) -> Shape:
        """Of the tensor at that place, without the batch."""
        return self.arrays[self.values[place]][0][1:]

    def size(self, start: int, end: int) -> int:
        """How many numbers the weights have that lead from the tensor at `start` to the one at `end`."""
        return sum(self.sizes[start + 1 : end + 1])

    def work(self, start: int, end: int) -> int:
        """The multiplications with weights of these operations."""
        return sum(self.flops[start + 1 : end + 1])

    def name(self, start: int, end: int) -> str:
        """Of a block that ends with the tensor at `end`: as its first product is called in the file."""
        products = [place for place in range(start + 1, end + 1) if self.flops[place]]
        node = self.model.graph.node[self.nodes[(products or [end])[0] - 1]]
        return re.sub(r"[^\w.-]+", ".", node.name or node.op_type).strip(".")

    def part(self, start: int, end: int) -> bytes:
        """A file of its own that does what leads from the tensor at `start` to the one at `end`."""
        source, target = self.values[start], self.values[end]
        graph = self.model.graph
        makers = {name: i for i, node in enumerate(graph.node) for name in node.output}
        needed: set[int] = set()
        names: set[str] = set()
        ahead = [target]
        while ahead:
            name = ahead.pop()
            if name == source or name in names:
                continue
            names.add(name)
            if name in makers:
                needed.add(makers[name])
                ahead += [] if name in self.counts else inputs_of(graph.node[makers[name]])
        nodes = [] if source == INPUT else [helper.make_node("Identity", [INPUT], [source])]
        for i in sorted(needed):
            node = graph.node[i]
            nodes += self._told(node, source) if node.output[0] in self.counts else [node]
        ends = [_described(name, *self.arrays[value]) for name, value in ((INPUT, source), (target, target))]
        tensors = [tensor for tensor in graph.initializer if tensor.name in names]
        part = helper.make_graph(nodes, "part", ends[:1], ends[1:], tensors)
        model = helper.make_model(part, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _told(self, node: NodeProto, source: str) -> list[NodeProto]:
        """Nodes that say the shape that one of `counts` says, from the number of samples in another tensor."""
        begin, end = _range(node, len(self.arrays[node.input[0]][0]))
        rest = np.array(self.arrays[node.input[0]][0][max(begin, 1) : end], np.int64)
        name = node.output[0]
        count, known = (f"{name}/samples", f"{name}/known") if not begin else ("", name)
        constant = helper.make_node("Constant", [], [known], value=numpy_helper.from_array(rest))
        if begin:
            return [constant]
        counted = helper.make_node("Shape", [source], [count if len(rest) else name], start=0, end=1)
        together = helper.make_node("Concat", [count, known], [name], axis=0)
        return [counted, constant, together] if len(rest) else [counted]


Runner = Callable[[bytes, NDArray[np.generic]], list[NDArray[np.generic]]]
"""From a model with the input `x`, and what it is to get, to its outputs."""


def trace(model: ModelProto, samples: NDArray[np.generic], run: Runner) -> OnnxTrace:
    """What a graph with the input `x` and one output does.

    samples: [3, ...] some.
    """
    arrays = _arrays(model, samples, run)
    graph = model.graph
    counts: dict[str, NodeProto] = {}
    dependent = {INPUT: 0}
    nodes: list[int] = []
    values = [INPUT]
    used: list[set[int]] = [set()]
    for i, node in enumerate(graph.node):
        sources = {dependent[name] for name in inputs_of(node) if name in dependent}
        if sources and node.op_type == "Shape" and arrays[node.input[0]][0][:1] == (_BATCH,):
            counts[node.output[0]] = node
        elif sources:
            nodes.append(i)
            used.append(sources)
            values.append(node.output[0])
            dependent |= dict.fromkeys(filter(None, node.output), len(values) - 1)
    end = dependent[graph.output[0].name]
    several = {dependent[name] for name in dependent if name not in values}
    made = [graph.node[i] for i in nodes[:end]]
    return OnnxTrace(
        model=model,
        nodes=tuple(nodes[:end]),
        values=tuple(values[: end + 1]),
        arrays=arrays,
        counts=counts,
        cuts=tuple(
            place
            for place in _passed_alone(used[: end + 1])
            if place not in several and _travels(*arrays[values[place]], first=place == 0)
        ),
        flops=(0, *(_flops(node, arrays) for node in made)),
        sizes=(0, *(_weights(node, dependent, counts, arrays) for node in made)),
    )


def body(traced: OnnxTrace) -> tuple[int, ...]:
    """The cuts before the classifier, as in `split`: it begins behind the last product that isn't one of vectors."""
    products = [place for place, flops in enumerate(traced.flops) if flops]
    maps = [place for place in products if not _on_vector(traced, place)]
    behind = maps[-1] if maps else products[-2] if len(products) > 1 else 0
    cuts = traced.cuts
    begin = next((i for i, place in enumerate(cuts) if place >= behind), len(cuts) - 1)
    while begin + 1 < len(cuts) - 1 and _keeps(traced, cuts[begin], cuts[begin + 1]):
        begin += 1
    return cuts[: begin + 1]


def _arrays(
    model: ModelProto, samples: NDArray[np.generic], run: Runner
) -> dict[str, tuple[Shape, np.dtype[np.generic]]]:
    """Shapes and types of all tensors, found by making them."""
    names = [*dict.fromkeys(name for node in model.graph.node for name in node.output if name)]
    telling = ModelProto()
    telling.CopyFrom(model)
    del telling.graph.output[:]
    telling.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    made = dict(zip(names, run(telling.SerializeToString(), samples), strict=True))
    arrays = {INPUT: (samples.shape, samples.dtype)}
    arrays |= {
        tensor.name: (tuple(tensor.dims), helper.tensor_dtype_to_np_dtype(tensor.data_type))
        for tensor in model.graph.initializer
    }
    return arrays | {name: (array.shape, array.dtype) for name, array in made.items() if isinstance(array, np.ndarray)}


def _described(name: str, shape: Shape, kind: np.dtype[np.generic]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(kind), ["batch", *shape[1:]])


def _range(node: NodeProto, rank: int) -> tuple[int, int]:
    """Of the dimensions that a `Shape` says: the first, and the one behind the last."""
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    begin, end, _ = slice(attributes.get("start", 0), attributes.get("end", rank)).indices(rank)
    return begin, end


def _passed_alone(used: Sequence[set[int]]) -> Iterator[int]:
    last: dict[int, int] = {}
    for place, sources in enumerate(used):
        last |= dict.fromkeys(sources, place)
    reach = 0
    for place in range(len(used)):
        if reach <= place:
            yield place
        reach = max(reach, last.get(place, 0))


def _travels(shape: Shape, kind: np.dtype[np.generic], *, first: bool) -> bool:
    return len(shape) > 1 and shape[0] == _BATCH and (first or kind == _FLOAT)


def _flops(node: NodeProto, arrays: Mapping[str, tuple[Shape, np.dtype[np.generic]]]) -> int:
    """Multiplications of one sample."""
    shapes = [arrays[name][0] if name in arrays else () for name in node.input]
    made = math.prod(arrays[node.output[0]][0]) if node.output[0] in arrays else 0
    if (place := _CONVOLUTIONS.get(node.op_type)) is not None:
        return made * math.prod(shapes[place][1:]) // _BATCH
    if node.op_type == "ConvTranspose":
        return math.prod(shapes[0]) * math.prod(shapes[1][1:]) // _BATCH
    if node.op_type in _VECTOR:
        return made * (shapes[0] or (1,))[-1] // _BATCH
    if node.op_type in _RECURRENT:
        return math.prod(shapes[0][:-1]) * (math.prod(shapes[1]) + math.prod(shapes[2])) // _BATCH
    return 2 * made * shapes[1][-2] // _BATCH if node.op_type == "Attention" else 0


def _weights(
    node: NodeProto,
    dependent: Mapping[str, int],
    counts: Mapping[str, NodeProto],
    arrays: Mapping[str, tuple[Shape, np.dtype[np.generic]]],
) -> int:
    """How many numbers a node takes that don't depend on samples; shapes and axes don't count, nor single numbers."""
    own = [arrays[name] for name in inputs_of(node) if name not in dependent and name not in counts and name in arrays]
    return sum(math.prod(shape) for shape, kind in own if shape and kind not in (np.int64, np.int32))


def _on_vector(traced: OnnxTrace, place: int) -> bool:
    node = traced.model.graph.node[traced.nodes[place - 1]]
    return node.op_type in _VECTOR and len(traced.arrays[node.input[0]][0]) == 2


def _keeps(traced: OnnxTrace, start: int, end: int) -> bool:
    """Whether what leads from `start` to `end` belongs to what is before: activations."""
    done = [traced.model.graph.node[i].op_type for i in itertools.islice(traced.nodes, start, end)]
    return traced.shape(start) == traced.shape(end) and not any(map(_CLASSIFYING.fullmatch, done))
