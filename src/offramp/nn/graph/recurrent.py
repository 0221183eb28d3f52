"""Recurrent layers: one operation for all layers of a module, taken apart so that it can be cut between them."""

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from offramp.nn.graph.operations import operation

TRAINING = 6
"""Which argument of a recurrent operation says whether it is in training."""

_ATEN = torch.ops.aten
# All take (input, state, weights, biases, layers, dropout, training, bidirectional, batch_first).
_OPERATIONS = (_ATEN.gru.input, _ATEN.lstm.input, _ATEN.rnn_tanh.input, _ATEN.rnn_relu.input)


def is_recurrent(node: fx.Node) -> bool:
    """Whether it is a GRU, an LSTM or a plain recurrent network, of any number of layers."""
    return node.target in _OPERATIONS


def recurrent_work(node: fx.Node) -> int:
    """Floating-point operations of a recurrent operation, for one image.

    Counted here, since on some machines torch computes them in one kernel, whose work its counter takes for none.
    """
    arguments: Any = node.args
    steps = int(arguments[0].meta["val"].shape[1 if arguments[8] else 0])
    weights = [weight.meta["val"] for weight in _list(arguments[2])]
    return 2 * steps * sum(int(weight.numel()) for weight in weights if weight.ndim == 2)


def take_layers_apart(graph: fx.Graph) -> bool:
    """Give every layer of a recurrent operation an operation of its own: whether there were any to take apart.

    They compute the same; but where a layer's last state isn't one of several in a row, it is multiplied in another
    order.
    """
    arguments: dict[fx.Node, Any] = {node: node.args for node in graph.nodes if is_recurrent(node)}
    several = [node for node, given in arguments.items() if given[4] > 1]
    for node in several:
        _take_apart(graph, node)
    return bool(several)


def _take_apart(graph: fx.Graph, node: fx.Node) -> None:
    arguments: Any = node.args
    x, state, weights, biases, layers, dropout, training, bidirectional, batch_first = arguments
    getters: list[tuple[fx.Node, Any]] = [(getter, getter.args[1]) for getter in node.users]
    output, *_ = node.meta["val"]
    by_image = output if batch_first else output.transpose(0, 1)
    parameters = _list(weights)
    each = len(parameters) // layers
    directions = 2 if bidirectional else 1

    def add(target: Any, *arguments: Any, value: Any = None) -> fx.Node:
        """One more operation, of the same module and line."""
        added = graph.call_function(target, arguments)
        added.meta = {**node.meta, "val": value}
        return added

    last_states: list[list[fx.Node]] = []
    with graph.inserting_before(node):
        # The samples' axis first, since that is how tensors travel.
        x = x if batch_first else add(_ATEN.transpose.int, x, 0, 1, value=x.meta["val"].transpose(0, 1))
        for layer in range(layers):
            first = layer * directions
            states = [add(_ATEN.slice.Tensor, kind, 0, first, first + directions) for kind in _list(state)]
            own = parameters[layer * each : (layer + 1) * each]
            begin = states if isinstance(state, Sequence) else states[0]
            done = add(node.target, x, begin, own, biases, 1, 0.0, training, bidirectional, True)
            x = add(operator.getitem, done, 0, value=by_image)
            last_states.append([add(operator.getitem, done, kind) for kind in range(1, len(states) + 1)])
            if dropout and layer + 1 < layers:
                x = add(_ATEN.dropout.default, x, dropout, False, value=by_image)
        x = x if batch_first else add(_ATEN.transpose.int, x, 0, 1, value=output)
        for getter, kind in getters:
            if kind == 0:
                getter.replace_all_uses_with(x)
            else:
                ends = [states[kind - 1] for states in last_states]
                _take_from_one(getter, ends, directions)
                getter.replace_all_uses_with(add(_ATEN.cat.default, ends, 0, value=getter.meta["val"]))
            graph.erase_node(getter)
    graph.erase_node(node)
    graph.eliminate_dead_code()


def _take_from_one(whole: fx.Node, ends: Sequence[fx.Node], directions: int) -> None:
    """Whoever takes the last state of one layer out of those of all has it from that layer."""
    for user in [*whole.users]:
        arguments: Any = user.args
        if operation(user) == "select" and arguments[1] == 0:
            place = arguments[2] % (len(ends) * directions)
            user.args = (ends[place // directions], 0, place % directions)


def _list(argument: Any) -> list[fx.Node]:
    return [*argument] if isinstance(argument, Sequence) else [argument]
