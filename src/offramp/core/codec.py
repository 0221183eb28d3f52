"""What inputs and activations travel as, and how many bits that takes."""

from enum import Enum

SCALE_BYTES = 4
"""Of the scale that stands before the entries in int8: one float32."""


class Codec(Enum):
    """What an activation travels as."""

    FP32 = "fp32"
    """As it is: four bytes an entry."""
    FP16 = "fp16"
    """Half precision: two bytes an entry."""
    INT8 = "int8"
    """One byte an entry, in steps of the largest magnitude / 127; the step stands before them, four bytes."""
    INT8_ZSTD = "int8+zstd"
    """The same, compressed without loss by Zstandard: a size for each sample, less the more entries are zero."""

    @property
    def plain(self) -> "Codec":
        """The codec without its compression: what the receiver decodes is the same."""
        return Codec.INT8 if self is Codec.INT8_ZSTD else self


class InputCodec(Enum):
    """What the input travels as from the source to the tier of the first partition."""

    RAW = "raw"
    """As the sensor hands it over."""
    PNG = "png"
    """A picture, without loss."""
    WEBP = "webp"
    """A picture, without loss."""
    JPEG90 = "jpeg90"
    """A picture at quality 90, colors at half the resolution."""
    JPEG75 = "jpeg75"
    """A picture at quality 75, likewise."""
    ZSTD = "zstd"
    """Numbers of any kind, without loss."""

    @property
    def lossless(self) -> bool:
        """Whether the receiver decodes the very input, so that no answer changes."""
        return self not in (InputCodec.JPEG90, InputCodec.JPEG75)


def encoded_bits(entries: int, codec: Codec) -> int:
    """How many bits so many entries travel as; compressed ones at most."""
    match codec:
        case Codec.FP32:
            return 32 * entries
        case Codec.FP16:
            return 16 * entries
        case Codec.INT8:
            return 8 * (entries + SCALE_BYTES)
        case Codec.INT8_ZSTD:
            # A frame of what can't be compressed: its head, and three bytes for each block of 128 kB.
            plain = entries + SCALE_BYTES
            return 8 * (plain + 3 * (plain >> 17) + 32)
