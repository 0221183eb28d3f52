"""What activations travel as, and how many bits that takes."""

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


def encoded_bits(entries: int, codec: Codec) -> int:
    """How many bits so many entries travel as."""
    match codec:
        case Codec.FP32:
            return 32 * entries
        case Codec.FP16:
            return 16 * entries
        case Codec.INT8:
            return 8 * (entries + SCALE_BYTES)
