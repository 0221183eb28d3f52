"""Inputs come back from the wire as their codec promises, and nothing else is decoded."""

import io
import struct
import zlib

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from offramp.bundle.input_codecs import decode_input, encode_input, input_codecs, most_input_bytes
from offramp.core.codec import InputCodec

UINT8 = np.dtype(np.uint8)
PICTURE_CODECS = input_codecs((3, 8, 8), UINT8)
PICTURES = st.tuples(st.sampled_from([1, 3]), st.integers(1, 20), st.integers(1, 20)).flatmap(
    lambda shape: arrays(np.uint8, shape)
)
NUMBERS = st.sampled_from([np.int8, np.int16, np.int64, np.float16, np.float32]).flatmap(
    lambda kind: arrays(kind, (3, 5), elements={} if np.issubdtype(kind, np.integer) else {"allow_nan": False})
)


def smooth(channels: int = 3, height: int = 24, width: int = 40) -> np.ndarray:
    """A picture [C, H, W] as a JPEG likes it: a slope in each channel."""
    y, x = np.mgrid[:height, :width]
    return np.stack([(2 * x + (c + 1) * y) % 256 for c in range(channels)]).astype(np.uint8)


@given(PICTURES, st.sampled_from([codec for codec in PICTURE_CODECS if codec.lossless]))
def test_a_lossless_picture_comes_back_bit_for_bit(picture: np.ndarray, codec: InputCodec) -> None:
    data = encode_input(picture, codec)
    assert len(data) <= most_input_bytes(picture.nbytes, codec)
    found = decode_input(memoryview(data), picture.shape, UINT8, codec)
    assert found.dtype == np.uint8
    assert np.array_equal(found, picture)


@given(NUMBERS, st.sampled_from([InputCodec.RAW, InputCodec.ZSTD]))
def test_other_numbers_come_back_bit_for_bit(numbers: np.ndarray, codec: InputCodec) -> None:
    assert input_codecs(numbers.shape, numbers.dtype) == (InputCodec.RAW, InputCodec.ZSTD)
    data = encode_input(numbers, codec)
    assert np.array_equal(decode_input(data, numbers.shape, numbers.dtype, codec), numbers)


@given(PICTURES, st.sampled_from([InputCodec.JPEG90, InputCodec.JPEG75]))
def test_a_lossy_picture_keeps_to_its_shape_and_its_most_bytes(picture: np.ndarray, codec: InputCodec) -> None:
    data = encode_input(picture, codec)
    assert len(data) <= most_input_bytes(picture.nbytes, codec)
    assert decode_input(data, picture.shape, UINT8, codec).shape == picture.shape


def test_the_lower_the_quality_the_farther_off_and_the_fewer_bytes() -> None:
    picture = smooth()
    errors, sizes = [], []
    for codec in (InputCodec.WEBP, InputCodec.JPEG90, InputCodec.JPEG75):
        data = encode_input(picture, codec)
        received = decode_input(data, picture.shape, UINT8, codec)
        errors.append(np.abs(received.astype(int) - picture).mean())
        sizes.append(len(data))
    assert errors[0] == 0 < errors[1] < errors[2]
    assert sizes[1] > sizes[2]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("codec", PICTURE_CODECS)
def test_bytes_cut_short_or_added_to_are_refused(codec: InputCodec, channels: int) -> None:
    picture = smooth(channels)
    data = encode_input(picture, codec)
    for broken in (data[:-1], data[: len(data) // 2], data[:20], b"", data + b"\0", data + data):
        with pytest.raises(ValueError, match=r"no |cut short|more|end"):
            decode_input(broken, picture.shape, UINT8, codec)


@pytest.mark.parametrize("codec", [codec for codec in PICTURE_CODECS if codec is not InputCodec.RAW])
def test_another_size_than_the_bundle_states_is_refused_before_it_is_decoded(
    codec: InputCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode_input(smooth(), codec)

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a decoder was asked")

    monkeypatch.setattr(Image, "open", opened)
    for shape in ((3, 24, 41), (3, 40, 24), (3, 25, 40)):
        with pytest.raises(ValueError, match="where the input is"):
            decode_input(data, shape, UINT8, codec)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_png_that_claims_to_be_huge_is_refused() -> None:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
    with pytest.raises(ValueError, match="60000"):
        decode_input(bomb, (3, 24, 40), UINT8, InputCodec.PNG)


def test_a_png_with_texts_to_unfold_is_refused() -> None:
    data = encode_input(smooth(), InputCodec.PNG)
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1000)))
    with pytest.raises(ValueError, match="more than its pixels"):
        decode_input(data[:33] + text + data[33:], (3, 24, 40), UINT8, InputCodec.PNG)


def test_a_png_with_too_few_pixels_is_refused() -> None:
    header = struct.pack(">IIBBBBB", 40, 24, 8, 2, 0, 0, 0)
    short = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(50))) + chunk(b"IEND", b"")
    )
    with pytest.raises(ValueError, match="can't be decoded"):
        decode_input(short, (3, 24, 40), UINT8, InputCodec.PNG)


def saved(name: str, **options: object) -> bytes:
    data = io.BytesIO()
    Image.fromarray(smooth().transpose(1, 2, 0)).save(data, name, **options)
    return data.getvalue()


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        (InputCodec.JPEG90, saved("JPEG", progressive=True)),
        (InputCodec.JPEG90, saved("JPEG", comment=b"x" * 99)),
        (InputCodec.WEBP, saved("WEBP", lossless=False)),
        (InputCodec.WEBP, saved("PNG")),
        (InputCodec.PNG, saved("JPEG")),
        (InputCodec.JPEG75, saved("WEBP", lossless=True)),
        (InputCodec.WEBP, saved("WEBP", lossless=True, exif=b"Exif\0\0" + bytes(40))),
    ],
)
def test_pictures_of_another_kind_are_refused(codec: InputCodec, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"this (is no|JPEG|WebP)"):
        decode_input(data, (3, 24, 40), UINT8, codec)


def test_an_animation_is_refused() -> None:
    frames = [Image.fromarray(np.full((24, 40, 3), gray, np.uint8)) for gray in (10, 20, 30)]
    data = io.BytesIO()
    frames[0].save(data, "WEBP", lossless=True, save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="lossless WebP"):
        decode_input(data.getvalue(), (3, 24, 40), UINT8, InputCodec.WEBP)


@pytest.mark.parametrize("size", [0, 119, 121, 1 << 30])
def test_a_frame_of_another_size_is_refused_before_it_is_unfolded(size: int) -> None:
    frame = zstandard.compress(bytes(min(size, 1 << 20)))
    if size == 1 << 30:  # a small frame that claims to be huge
        frame = bytes.fromhex("28b52ffd a0 00000040".replace(" ", "")) + frame[9:]
    with pytest.raises(ValueError, match="where the receiver expects 120"):
        decode_input(frame, (30,), np.dtype(np.float32), InputCodec.ZSTD)


def test_a_frame_that_does_not_say_its_size_is_refused() -> None:
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(120))
    with pytest.raises(ValueError, match="where the receiver expects 120"):
        decode_input(frame, (30,), np.dtype(np.float32), InputCodec.ZSTD)


@settings(max_examples=300)
@given(st.sampled_from(PICTURE_CODECS[1:]), st.data())
def test_bytes_changed_anywhere_give_an_input_of_that_shape_or_an_error(codec: InputCodec, data: st.DataObject) -> None:
    picture = smooth(data.draw(st.sampled_from([1, 3])), 9, 11)
    sent = bytearray(encode_input(picture, codec))
    for _ in range(data.draw(st.integers(1, 4))):
        sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    try:
        received = decode_input(bytes(sent), picture.shape, UINT8, codec)
    except ValueError:
        return
    assert received.shape == picture.shape
    assert received.dtype == np.uint8
