"""Bytes that travel: activations encoded and decoded. `offramp.core.codec` says which codecs there are."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.bundle.compression import compressed, decompressed
from offramp.core.checks import Float32Array
from offramp.core.codec import SCALE_BYTES, Codec, encoded_bits

_STEPS = 127
# Tiers wait while it works, and activations change little by a higher one.
_ZSTD_LEVEL = 3


def encode(tensor: Float32Array, codec: Codec) -> bytes:
    """The bytes of an activation, little-endian, entries in row-major order.

    tensor: float32, of any shape.
    Raises `ValueError` for entries that the codec can't hold: none that are not finite, and in half precision
    none beyond 65504.
    """
    if codec is not codec.plain:
        return compressed(encode(tensor, codec.plain), level=_ZSTD_LEVEL)
    if codec is Codec.FP32:
        return tensor.astype("<f4", copy=False).tobytes()
    largest = max(float(tensor.max(initial=0.0)), -float(tensor.min(initial=0.0)))
    if not largest <= float(np.finfo(np.float16 if codec is Codec.FP16 else np.float32).max):
        raise ValueError(f"an entry of magnitude {largest} can't travel as {codec.value}")
    if codec is Codec.FP16:
        return tensor.astype("<f2").tobytes()
    step = np.float32(largest / _STEPS) or np.float32(1)
    steps: NDArray[np.int8] = np.clip(np.rint(tensor / step), -_STEPS, _STEPS).astype(np.int8)
    return np.array([step], "<f4").tobytes() + steps.tobytes()


def decode(data: bytes | memoryview, shape: Sequence[int], codec: Codec) -> Float32Array:
    """The activation of that shape that `encode` made `data` of: float32.

    Raises `ValueError` for data of another length, or with a step that is not a finite number above zero.
    """
    entries = math.prod(shape)
    if codec is not codec.plain:
        data, codec = decompressed(bytes(data), encoded_bits(entries, codec.plain) // 8), codec.plain
    if 8 * len(data) != encoded_bits(entries, codec):
        expected = encoded_bits(entries, codec) // 8
        raise ValueError(f"{len(data)} bytes are not {entries} entries as {codec.value}, which are {expected}")
    if codec is not Codec.INT8:
        dtype = "<f4" if codec is Codec.FP32 else "<f2"
        return np.frombuffer(data, dtype).astype(np.float32, copy=False).reshape(shape)
    step = np.frombuffer(data[:SCALE_BYTES], "<f4").astype(np.float32)[0]
    if not 0 < step < np.inf:
        raise ValueError(f"a step of {step} is no step")
    tensor: Float32Array = np.frombuffer(data[SCALE_BYTES:], np.int8).astype(np.float32) * step
    return tensor.reshape(shape)
