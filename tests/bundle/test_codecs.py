"""Activations come back from the wire as near as their codec promises."""

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from offramp.bundle.codecs import decode, encode
from offramp.core.codec import Codec, encoded_bits

TENSORS = array_shapes(max_dims=4, max_side=5).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.floats(-60000, 60000, width=32))
)


@given(TENSORS, st.sampled_from(Codec))
def test_the_size_is_what_was_said_and_the_shape_comes_back(tensor: np.ndarray, codec: Codec) -> None:
    data = encode(tensor, codec)
    assert 8 * len(data) == encoded_bits(tensor.size, codec) or codec is not codec.plain
    assert 8 * len(data) <= encoded_bits(tensor.size, codec)
    found = decode(memoryview(data), tensor.shape, codec)
    assert found.shape == tensor.shape
    assert found.dtype == np.float32


@given(TENSORS)
def test_fp32_loses_nothing(tensor: np.ndarray) -> None:
    assert np.array_equal(decode(encode(tensor, Codec.FP32), tensor.shape, Codec.FP32), tensor)


@given(TENSORS)
def test_fp16_is_off_by_half_a_spacing_at_most(tensor: np.ndarray) -> None:
    found = decode(encode(tensor, Codec.FP16), tensor.shape, Codec.FP16)
    spacing = np.spacing(np.abs(tensor).astype(np.float16)).astype(np.float32)
    assert (np.abs(found - tensor) <= spacing / 2 + 1e-12).all()


@given(TENSORS)
def test_int8_is_off_by_half_a_step_at_most(tensor: np.ndarray) -> None:
    found = decode(encode(tensor, Codec.INT8), tensor.shape, Codec.INT8)
    step = np.abs(tensor).max() / 127
    # In float32, dividing and multiplying again may cost a few units in the last place of 127 steps, and a step near
    # the smallest number may be off by half of that.
    assert (np.abs(found - tensor) <= step * (0.5 + 1e-4) + 127 * np.finfo(np.float32).smallest_subnormal).all()
    assert (found[tensor == 0] == 0).all()


@given(TENSORS, st.sampled_from([Codec.FP16, Codec.INT8]), st.sampled_from([np.inf, -np.inf, np.nan, 3e38]))
def test_what_cannot_travel_is_refused(tensor: np.ndarray, codec: Codec, entry: float) -> None:
    if codec is Codec.INT8 and entry == 3e38:
        return
    broken = tensor.copy()
    broken.flat[0] = entry
    with pytest.raises(ValueError, match="can't travel"):
        encode(broken, codec)


@given(st.binary(max_size=80), array_shapes(max_dims=3, max_side=4), st.sampled_from(Codec))
def test_data_of_another_length_is_refused(data: bytes, shape: tuple[int, ...], codec: Codec) -> None:
    if 8 * len(data) == encoded_bits(int(np.prod(shape)), codec) and codec is codec.plain:
        return
    with pytest.raises(ValueError, match=r"entries as|no Zstandard frame|receiver expects"):
        decode(data, shape, codec)


@given(TENSORS)
def test_compression_changes_no_bit(tensor: np.ndarray) -> None:
    plain = decode(encode(tensor, Codec.INT8), tensor.shape, Codec.INT8)
    found = decode(encode(tensor, Codec.INT8_ZSTD), tensor.shape, Codec.INT8_ZSTD)
    assert found.tobytes() == plain.tobytes()


@pytest.mark.parametrize("entries", [1, 1000, 1 << 18, (1 << 18) + 7])
def test_noise_takes_no_more_than_is_said(entries: int) -> None:
    """The steps of int8 of such numbers are as good as random bytes."""
    noise = np.random.default_rng(entries).uniform(-1, 1, entries).astype(np.float32)
    assert 8 * len(encode(noise, Codec.INT8_ZSTD)) <= encoded_bits(entries, Codec.INT8_ZSTD)


def test_zeros_take_next_to_nothing() -> None:
    sparse = np.zeros(10_000, np.float32)
    sparse[::100] = 1
    assert len(encode(sparse, Codec.INT8_ZSTD)) < len(encode(sparse, Codec.INT8)) / 20


def test_frames_of_another_size_cut_short_or_added_to_are_refused() -> None:
    data = encode(np.ones(100, np.float32), Codec.INT8_ZSTD)
    bomb = zstandard.compress(bytes(1 << 24))
    for broken in (data[:-1], data + b"x", data + data, b"", bomb):
        with pytest.raises(ValueError, match=r"no Zstandard frame|receiver expects"):
            decode(broken, (100,), Codec.INT8_ZSTD)


@pytest.mark.parametrize("step", [0.0, -1.0, np.inf, np.nan])
def test_a_forged_step_is_refused(step: float) -> None:
    data = np.array(step, "<f4").tobytes() + b"\x01\x02"
    with pytest.raises(ValueError, match="no step"):
        decode(data, (2,), Codec.INT8)


def test_activations_of_another_byte_order_travel_the_same() -> None:
    tensor = np.arange(6, dtype=">f4").reshape(2, 3)
    for codec in Codec:
        assert encode(tensor, codec) == encode(tensor.astype("<f4"), codec)
