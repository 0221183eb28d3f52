"""What an ONNX file answers at its end, as logits: one number for each class and sample; see `outputs` and `undo`."""

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from offramp.nn.graph.undo import Undone

# These change how numbers are laid out, and none of them.
_SHAPING = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand")
_ONE, _ROW = "answer/one", "answer/row"


def undo(model: ModelProto) -> Undone | None:
    """Take the softmax, or the sigmoid of a single output, off the end of a graph: which it was, if any.

    A softmax may be written out, as exponentials by their sum.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    last = makers.get(graph.output[0].name)
    shaping = []
    while last is not None and last.op_type in _SHAPING:
        shaping.append(last)
        last = makers.get(last.input[0])
    if last is None:
        return None
    taken, undone = _undone(last, makers)
    if undone is None or (undone == "sigmoid" and not _has_one_output(model)):
        return None
    if shaping:
        shaping[-1].input[0] = taken
    else:
        graph.output[0].name = taken
    return undone


def with_both_logits(model: ModelProto) -> None:
    """Let a graph with one number z for each sample, [B] or [B, 1], answer 0 and z; others stay as they are."""
    if not _has_one_output(model):
        return
    graph, [value] = model.graph, model.graph.output
    tensors = {_ONE: np.array([-1, 1]), f"{_ROW}/pads": np.array([0, 1, 0, 0])}
    graph.initializer.extend(numpy_helper.from_array(array.astype(np.int64), name) for name, array in tensors.items())
    graph.node.append(helper.make_node("Reshape", [value.name, _ONE], [f"{_ONE}/z"]))
    graph.node.append(helper.make_node("Pad", [f"{_ONE}/z", f"{_ROW}/pads"], [_ROW]))
    described = helper.make_tensor_value_info(_ROW, value.type.tensor_type.elem_type, ["batch", 2])
    value.CopyFrom(described)


def _has_one_output(model: ModelProto) -> bool:
    """Whether a graph says that it makes one number for each sample."""
    dims = model.graph.output[0].type.tensor_type.shape.dim
    return len(dims) == 1 or (len(dims) == 2 and dims[1].dim_value == 1)


def _undone(last: NodeProto, makers: dict[str, NodeProto]) -> tuple[str, Undone | None]:
    """What goes into the softmax or sigmoid that ends with a node, and which it is."""
    if last.op_type in ("Softmax", "Sigmoid"):
        return last.input[0], "softmax" if last.op_type == "Softmax" else "sigmoid"
    if last.op_type != "Div":
        return "", None
    above, below = (makers.get(name) for name in last.input)
    while below is not None and below.op_type in _SHAPING:
        below = makers.get(below.input[0])
    written_out = above is not None and above.op_type == "Exp" and below is not None and below.op_type == "ReduceSum"
    if above is None or below is None or not written_out or below.input[0] != last.input[0]:
        return "", None
    return above.input[0], "softmax"
