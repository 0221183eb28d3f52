"""Inputs as bytes that travel: pictures as PNG, WebP or JPEG, any other numbers compressed with Zstandard.

What arrives is untrusted. Before a decoder sees a picture, its own headers are read here: it must be of the one kind
that `encode_input` writes (8 bits, one frame, nothing beside the pixels), of the size that the bundle states, and end
where the message ends. Decoders thus get no dimensions, frames or texts to unfold that nobody asked for.
"""

import io
import re
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, WebPImagePlugin

from offramp.bundle.compression import compressed, decompressed
from offramp.core.codec import InputCodec

# Else Pillow looks for its codecs when the first picture comes, which that picture waits for.
Image.preinit()
assert WebPImagePlugin.SUPPORTED, "Pillow's own wheels all have WebP"

_QUALITY = {InputCodec.JPEG90: 90, InputCodec.JPEG75: 75}
_ZSTD_LEVEL = 9
_PNG, _RIFF, _JPEG = b"\x89PNG\r\n\x1a\n", b"RIFF", b"\xff\xd8"
# What `encode_input` has in front of a JPEG's pixels: its head, tables, the size, and the begin of the scan.
_JPEG_SEGMENTS = {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}
_SCAN_ENDS = re.compile(rb"\xff[^\x00\xd0-\xd7]")


def input_codecs(shape: Sequence[int], kind: np.dtype[np.generic]) -> tuple[InputCodec, ...]:
    """Those that inputs of that shape and type can travel in."""
    if kind == np.uint8 and len(shape) == 3 and shape[0] in (1, 3) and max(shape) < 1 << 14:
        return tuple(codec for codec in InputCodec if codec is not InputCodec.ZSTD)
    return InputCodec.RAW, InputCodec.ZSTD


def most_input_bytes(raw_bytes: int, codec: InputCodec) -> int:
    """The most that an input of so many raw bytes can travel as: noise grows, by headers and a byte for each row."""
    return raw_bytes if codec is InputCodec.RAW else 2 * raw_bytes + 2048


def encode_input(sample: NDArray[np.generic], codec: InputCodec) -> bytes:
    """The bytes of one input.

    sample: pictures [C, H, W] of 8 bits, C 1 or 3; for the other codecs of any shape and type.
    """
    if codec in (InputCodec.RAW, InputCodec.ZSTD):
        raw = sample.astype(sample.dtype.newbyteorder("<"), copy=False).tobytes()
        return raw if codec is InputCodec.RAW else compressed(raw, level=_ZSTD_LEVEL)
    picture = Image.fromarray(sample[0] if len(sample) == 1 else np.ascontiguousarray(sample.transpose(1, 2, 0)))
    data = io.BytesIO()
    # The least effort of both: on photographs of 64x64 the most takes WebP 38 times as long for 4 % fewer bytes.
    match codec:
        case InputCodec.PNG:
            picture.save(data, "PNG", compress_level=1)
        case InputCodec.WEBP:
            picture.convert("RGB").save(data, "WEBP", lossless=True, quality=0, method=0)
        case _:
            picture.save(data, "JPEG", quality=_QUALITY[codec], subsampling="4:2:0", optimize=True)
    return data.getvalue()


def decode_input(
    data: bytes | memoryview, shape: Sequence[int], kind: np.dtype[np.generic], codec: InputCodec
) -> NDArray[np.generic]:
    """The input of that shape and type that `encode_input` made `data` of.

    Raises `ValueError` for anything else, before memory is taken for more than one input.
    """
    count = int(np.prod(shape))
    size, stored = count * kind.itemsize, kind.newbyteorder("<")
    if codec in (InputCodec.RAW, InputCodec.ZSTD):
        raw = data if codec is InputCodec.RAW else decompressed(bytes(data), size)
        if len(raw) != size:
            raise ValueError(f"{len(raw)} bytes are no input, which has {size}")
        return np.frombuffer(raw, stored).reshape(shape)
    if len(data) > most_input_bytes(size, codec):
        raise ValueError(f"a picture of {len(data)} bytes is more than one of {size} can travel as")
    data = bytes(data)
    name, check = {InputCodec.PNG: ("PNG", _check_png), InputCodec.WEBP: ("WEBP", _check_webp)}.get(
        codec, ("JPEG", _check_jpeg)
    )
    channels, height, width = shape
    try:
        found = check(data)
    except (struct.error, IndexError):
        raise ValueError(f"this {name} is cut short, or does not end with its pixels") from None
    # A lossless WebP is always in color.
    expected = (width, height, 3 if codec is InputCodec.WEBP else channels)
    if found != expected:
        raise ValueError(f"a {name} of {found} where the input is {expected} (width, height, channels)")
    try:
        with Image.open(io.BytesIO(data), formats=[name]) as picture:
            pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"this {name} can't be decoded: {error}") from error
    return (pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)).astype(kind, copy=False)


def _check_png(data: bytes) -> tuple[int, int, int]:
    """Width, height and channels. Raises `ValueError` for chunks beside the pixels', and for anything after them."""
    if not data.startswith(_PNG):
        raise ValueError("this is no PNG")
    at, kinds = len(_PNG), []
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        kinds.append(kind)
        at += 12 + length
    if at != len(data) or kinds[0] != b"IHDR" or kinds[-1] != b"IEND" or set(kinds[1:-1]) != {b"IDAT"}:
        raise ValueError("this PNG is cut short, or holds more than its pixels")
    width, height, bits, color, *rest = struct.unpack_from(">IIBBBBB", data, len(_PNG) + 8)
    if bits != 8 or color not in (0, 2) or rest != [0, 0, 0]:
        raise ValueError("this PNG is not plain gray or red-green-blue of 8 bits")
    return width, height, 1 if color == 0 else 3


def _check_webp(data: bytes) -> tuple[int, int, int]:
    riff, size, kind, length, signature, bits = struct.unpack_from("<4sI8sIBI", data)
    if (riff, kind, signature) != (_RIFF, b"WEBPVP8L", 0x2F):
        raise ValueError("this is no lossless WebP")
    if size + 8 != len(data) or length + length % 2 + 20 != len(data):
        raise ValueError("this WebP is cut short, or holds more than its pixels")
    if bits >> 28:
        raise ValueError("this WebP has an alpha channel, or is of a version to come")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 3


def _check_jpeg(data: bytes) -> tuple[int, int, int]:
    """Width, height and channels of a baseline JPEG of one scan, which takes no longer than its pixels do."""
    if not data.startswith(_JPEG):
        raise ValueError("this is no JPEG")
    at, kind, found = len(_JPEG), 0, None
    while kind != 0xDA:
        mark, kind, length = struct.unpack_from(">BBH", data, at)
        if mark != 0xFF or kind not in _JPEG_SEGMENTS or length < 2:
            raise ValueError("this JPEG has segments that are not needed")
        if kind == 0xC0:
            bits, height, width, channels = struct.unpack_from(">BHHB", data, at + 4)
            if bits != 8 or found is not None:
                raise ValueError("this JPEG is not of 8 bits, or has two sizes")
            found = width, height, channels
        at += 2 + length
    end = _SCAN_ENDS.search(data, at)
    if end is None or end.group() != b"\xff\xd9" or end.end() != len(data) or found is None:
        raise ValueError("this JPEG is cut short, or does not end with its pixels")
    return found
