"""How an activation is turned into bytes to travel."""

import math
from collections.abc import Sequence
from enum import Enum

import numpy as np
from numpy.typing import NDArray

_STEPS = 127
_SCALE_BYTES = 4


class Codec(Enum):
    """What an activation travels as."""

    FP32 = "fp32"
    """As it is: four bytes an entry."""
    FP16 = "fp16"
    """Half precision: two bytes an entry."""
    INT8 = "int8"
    """One byte an entry, in steps of the largest magnitude / 127; the step goes in front, four bytes."""


def encoded_bits(entries: int, codec: Codec) -> int:
    """How many bits so many entries travel as."""
    match codec:
        case Codec.FP32:
            return 32 * entries
        case Codec.FP16:
            return 16 * entries
        case Codec.INT8:
            return 8 * (entries + _SCALE_BYTES)


def encode(tensor: NDArray[np.float32], codec: Codec) -> bytes:
    """The bytes of an activation, little-endian, entries in row-major order.

    tensor: float32, of any shape.
    Raises `ValueError` for entries that the codec can't hold: none that are not finite, and in half precision
    none beyond 65504.
    """
    if codec is Codec.FP32:
        return tensor.astype("<f4", copy=False).tobytes()
    largest = max(float(tensor.max(initial=0.0)), -float(tensor.min(initial=0.0)))
    if not largest <= float(np.finfo(np.float16 if codec is Codec.FP16 else np.float32).max):
        raise ValueError(f"an entry of magnitude {largest} can't travel as {codec.value}")
    if codec is Codec.FP16:
        return tensor.astype("<f2").tobytes()
    step = np.float32(largest / _STEPS) or np.float32(1)
    steps = np.clip(np.rint(tensor / step), -_STEPS, _STEPS)
    data: bytes = step.astype("<f4").tobytes() + steps.astype(np.int8).tobytes()
    return data


def decode(data: bytes | memoryview, shape: Sequence[int], codec: Codec) -> NDArray[np.float32]:
    """The activation of that shape that `encode` made `data` of: float32.

    Raises `ValueError` for data of another length, or with a step that is not a finite number above zero.
    """
    entries = math.prod(shape)
    if 8 * len(data) != encoded_bits(entries, codec):
        wanted = encoded_bits(entries, codec) // 8
        raise ValueError(f"{len(data)} bytes are not {entries} entries as {codec.value}, which are {wanted}")
    if codec is not Codec.INT8:
        kind = "<f4" if codec is Codec.FP32 else "<f2"
        return np.frombuffer(data, kind).astype(np.float32, copy=False).reshape(shape)
    step = np.frombuffer(data[:_SCALE_BYTES], "<f4").astype(np.float32)[0]
    if not 0 < step < np.inf:
        raise ValueError(f"a step of {step} is no step")
    found: NDArray[np.float32] = np.frombuffer(data[_SCALE_BYTES:], np.int8).astype(np.float32) * step
    return found.reshape(shape)
