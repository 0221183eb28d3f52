"""Probabilities at the end of a network, undone: exits are decided by logits, and make probabilities themselves."""

from typing import Literal, TypeAlias

import torch
from torch import Tensor, fx

from offramp.errors import fail
from offramp.nn.graph.operations import operation, where

Undone: TypeAlias = Literal["softmax", "sigmoid"]

# These change how numbers are laid out, and which there are, but no number.
_SHAPING = ("view", "reshape", "flatten", "squeeze", "unsqueeze", "contiguous", "clone", "alias")
_PICKING = ("select", "slice")
_ONE_LOGIT = ("pad", "constant_pad_nd")
_WITHIN = 1e-4
_LOGITS = "return what goes into the softmax"


def undo(graph: fx.Graph) -> Undone | None:
    """Take the softmax, or the sigmoid of a single output, off the end of what is traced: which it was, if any.

    Raises `InputError` where a network ends in one that can't be taken off.
    """
    output = next(node for node in graph.nodes if node.op == "output")
    [node] = output.args[0]
    user, single, picked = output, has_one_output(node), False
    while operation(node) in (*_SHAPING, *_PICKING) or (single and operation(node) in _ONE_LOGIT):
        picked = picked or operation(node) in _PICKING
        user, node = node, node.args[0]
    name = operation(node).strip("_")
    if name == "softmax" and (single or picked):
        fail("backbone", f"returns a part of the probabilities that {where(node)} makes", _LOGITS)
    if name == "sigmoid" and not single:
        problem = f"returns sigmoids, by {where(node)}: a yes or no for each class, and not one class for each sample"
        fail("backbone", problem, "return what goes into the sigmoid, if only one class is ever right")
    if name not in ("softmax", "sigmoid") or (name == "softmax" and not _over_classes(node)):
        return None
    user.replace_input_with(node, node.args[0])
    graph.eliminate_dead_code()
    return "softmax" if name == "softmax" else "sigmoid"


def redone(logits: Tensor, undone: Undone | None) -> Tensor:
    """What the network returned, [B, classes], of the logits that it would have returned; as they are without any."""
    if undone is None:
        return logits
    if undone == "softmax":
        return torch.softmax(logits, dim=1)
    return torch.cat([logits[:, :1], logits[:, 1:].sigmoid()], dim=1)


def has_one_output(last: fx.Node) -> bool:
    """Whether the logits are made of the one number that a network returns for each sample, as `logits_of` does it."""
    return operation(last) in _ONE_LOGIT


def refuse_probabilities(returned: Tensor) -> None:
    """Raise `InputError` where what a network returns, [B, classes], are probabilities after all."""
    if bool((returned >= 0).all()) and bool(((returned.sum(dim=1) - 1).abs() <= _WITHIN).all()):
        problem = "returns probabilities, which sum to one: its exits would take themselves to be sure of nothing"
        fail("backbone", problem, _LOGITS)


def _over_classes(node: fx.Node) -> bool:
    """Whether a softmax is over all that there is for a sample."""
    value, dim = node.meta["val"], node.args[1]
    return bool(value.shape[dim] == value[0].numel()) and dim % value.ndim != 0
