"""What networks return, as logits: one number for each class and sample."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import torch.nn.functional as F
from torch import Tensor, nn

from offramp.errors import fail

_REMEDY = "return logits [B, classes], be it as `logits` of a dict or an object, or first of a tuple"
_MISSING = "and exits need one answer for each sample, logits [B, classes]"
_BOXES = ("boxes", "pred_boxes")


class WithLogits(nn.Module):
    """A network that returns its logits [B, classes] alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        # The name by which its weights are known in what is traced.
        self.model = network

    def forward(self, images: Tensor) -> Tensor:
        """[B, ...] samples -> [B, classes] logits."""
        return logits_of(self.model(images), images.shape[0])


def logits_of(output: Any, samples: Any) -> Tensor:
    """The logits [B, classes] in what a classifier returns for so many samples.

    output: a tensor; a tuple or list that begins with one; an object or a mapping with `logits`, or a mapping with no
        more than one tensor [B, ...] of one or two dimensions. Of a binary classifier, with one number z for each
        sample, [B] or [B, 1], they are 0 and z: their softmax is the sigmoid of z.
    samples: how many, B.
    Raises `InputError` for anything else; of detectors and segmenters it says what they lack.
    """
    logits = _tensor(output)
    if logits.ndim == 0 or logits.ndim > 2 or logits.shape[0] != samples:
        _refuse(logits)
    if logits.ndim == 2 and logits.shape[1] != 1:
        return logits
    return F.pad(logits.reshape(samples, 1), (1, 0))


def _tensor(output: Any) -> Tensor:
    _refuse_detector(output)
    if isinstance(output, Tensor):
        return output
    logits = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    if isinstance(output, Mapping):
        return _only(output)
    if isinstance(output, Sequence) and output and isinstance(output[0], Tensor):
        return output[0]
    fail("backbone", f"returns {type(output).__name__}, not logits [B, classes]", _REMEDY)


def _only(output: Mapping[Any, Any]) -> Tensor:
    """The one tensor that can be logits."""
    tensors = {key: value for key, value in output.items() if isinstance(value, Tensor)}
    fitting = [value for value in tensors.values() if value.ndim in (1, 2)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting and len(tensors) == 1:
        _refuse(*tensors.values())
    keys = ", ".join(map(str, output))
    fail("backbone", f"returns a mapping of {keys or 'nothing'}: which are the logits?", "name them `logits`")


def _refuse_detector(output: Any) -> None:
    first = output[0] if isinstance(output, Sequence) and output else output
    if isinstance(first, Mapping) and any(key in first for key in _BOXES):
        problem = f"returns boxes, as detectors do, as many as there are objects, {_MISSING}"
        fail("backbone", problem, "give a classifier, e.g. one made of the detector's own backbone")


def _refuse(tensor: Tensor) -> NoReturn:
    shape = [*map(int, tensor.shape)]
    if len(shape) > 2 and all(size == 1 for size in shape[2:]):
        fail("backbone", f"returns a tensor {shape}, not logits [B, classes]", "end it with flatten(1)")
    if len(shape) > 2:
        kind = "segmenters" if len(shape) == 4 else "taggers"
        problem = f"returns a tensor {shape}, an answer for every position, as {kind} do, {_MISSING}"
        fail("backbone", problem, "give a classifier, or pool the positions to one answer")
    fail("backbone", f"returns a tensor {shape}, not logits [B, classes]", _REMEDY)
