"""The engine that runs partitions: ONNX Runtime, set up in one place, so that what is timed is what is deployed."""

import os

import numpy as np
from numpy.typing import NDArray

from offramp.core.checks import Float32Array
from offramp.errors import fail

# ONNX Runtime reads this when it is imported; else it gives the machine an id and keeps a database of what is run.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

# By ONNX Runtime's own words; others are named as numpy names them.
_NAMES = {"float": "float32"}


class PartitionSession:
    """A partition, loaded.

    model: an ONNX file's bytes, with one input, `x`.
    remedy: what to do about one that can't be loaded.
    Raises `InputError` for bytes that are no such model.
    """

    def __init__(self, model: bytes, *, remedy: str = "build the bundle again") -> None:
        options = onnxruntime.SessionOptions()
        # A tier serves one sample at a time, and one thread is the fastest way to run blocks as small as these.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has a dozen types for what can be wrong, most of them undocumented
            fail("model", f"can't be loaded: {error}", remedy)

        self.input_type: np.dtype[np.generic] = _type(self._session.get_inputs()[0].type)
        """Of what the model takes."""

    def run(self, x: NDArray[np.generic]) -> list[Float32Array]:
        """The model's outputs.

        x: [B, ...] raw samples for the first block, else the output of the block before, float32.

        Of a partition they are its output [B, ...], its branch's probabilities [B, K], and its score [B], the lower
        the surer.
        """
        outputs: list[Float32Array] = self._session.run(None, {"x": x})
        return outputs


def _type(said: str) -> np.dtype[np.generic]:
    """Of numpy, from `tensor(uint8)`."""
    name = said.removeprefix("tensor(").removesuffix(")")
    return np.dtype(_NAMES.get(name, name))
