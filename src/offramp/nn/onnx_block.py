"""Parts of an ONNX file as modules: they run in ONNX Runtime, and are put together again for export."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import onnx
import torch
from onnx import GraphProto, ModelProto, NodeProto, compose, helper
from torch import Tensor, nn

from offramp.bundle.session import PartitionSession
from offramp.nn.heads import Cost


class OnnxBlock(nn.Module):
    """Part of an ONNX file, with one input, `x`, and one output. It has no gradients.

    model: its bytes, as a tensor: what `state_dict` has of it.
    cost: of one sample.
    """

    model: Tensor

    def __init__(self, model: bytes, cost: Cost) -> None:
        super().__init__()
        self.register_buffer("model", torch.frombuffer(bytearray(model), dtype=torch.uint8))
        self.cost = cost

    def forward(self, x: Tensor) -> Tensor:
        """[B, ...] -> [B, ...] float32."""
        [output] = self._session.run(x.detach().cpu().contiguous().numpy())
        return torch.from_numpy(output).to(x.device)

    def proto(self) -> ModelProto:
        """The part as a graph."""
        return onnx.load_from_string(self.content())

    @functools.cached_property
    def _session(self) -> PartitionSession:
        return PartitionSession(self.content())

    def content(self) -> bytes:
        """The part as a file."""
        return self.model.cpu().numpy().tobytes()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_session"}

    def _load_from_state_dict(self, *arguments: Any, **options: Any) -> None:
        super()._load_from_state_dict(*arguments, **options)
        self.__dict__.pop("_session", None)


def joined(rest: ModelProto, parts: Mapping[str, tuple[ModelProto, str, str]], outputs: Iterable[str]) -> ModelProto:
    """One graph of `rest`, which takes some tensors that parts make, and makes some that they take.

    parts: by a prefix of their own, each with the name of the tensor that it takes, and of the one that it makes.
    outputs: the names of those of the whole, in order; its input is the first of `rest`.
    """
    nodes = [*rest.graph.node]
    tensors = [*rest.graph.initializer]
    known = {value.name: value for value in (*rest.graph.input, *rest.graph.output)}
    opsets = {opset.domain: opset.version for opset in rest.opset_import}
    for prefix, (part, taken, made) in parts.items():
        own = compose.add_prefix(part, f"{prefix}/")
        nodes.append(helper.make_node("Identity", [taken], [own.graph.input[0].name]))
        nodes += own.graph.node
        nodes.append(helper.make_node("Identity", [own.graph.output[0].name], [made]))
        tensors += own.graph.initializer
        value = onnx.ValueInfoProto()
        value.CopyFrom(own.graph.output[0])
        value.name = made
        known[made] = value
        opsets |= {opset.domain: opset.version for opset in own.opset_import}
    graph = helper.make_graph(
        _in_order(nodes, {rest.graph.input[0].name, *(tensor.name for tensor in tensors)}),
        "network",
        [rest.graph.input[0]],
        [known[name] for name in outputs],
        tensors,
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    versions = [part.ir_version for part, _, _ in parts.values()]
    return helper.make_model(graph, opset_imports=imports, ir_version=max(rest.ir_version, *versions))


def inputs_of(node: NodeProto) -> set[str]:
    """The names of all tensors that a node takes, graphs inside it included."""
    inner = [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]
    return {name for name in (*node.input, *(name for graph in inner for name in _captured(graph))) if name}


def _captured(graph: GraphProto) -> set[str]:
    own = {value.name for value in (*graph.input, *graph.initializer)}
    own |= {name for node in graph.node for name in node.output}
    used = {value.name for value in graph.output}.union(*(inputs_of(node) for node in graph.node))
    return used - own


def _in_order(nodes: Iterable[NodeProto], known: set[str]) -> list[NodeProto]:
    """The nodes, each behind those that it takes something of."""
    made = set(known)
    ahead, ordered = [*nodes], []
    while ahead:
        ready = []
        for node in ahead:
            if inputs_of(node) <= made:
                ordered.append(node)
                made.update(node.output)
                ready.append(id(node))
        if not ready:
            raise ValueError(f"{ahead[0].name} takes what nothing makes")
        done = {*ready}
        ahead = [node for node in ahead if id(node) not in done]
    return ordered
