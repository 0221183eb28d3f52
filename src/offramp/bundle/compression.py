"""Bytes compressed without loss by Zstandard, and what arrives unfolded behind a guard."""

import zstandard


def compressed(data: bytes, *, level: int) -> bytes:
    """One frame that states the size of what it holds."""
    return zstandard.compress(data, level)


def decompressed(data: bytes, size: int) -> bytes:
    """What a frame holds. Raises `ValueError`, before it is unfolded, unless it states that very size.

    A frame that unfolds to another size than it states, is cut short, or is followed by anything is refused, too.
    """
    try:
        stated = zstandard.frame_content_size(data)
        if stated != size:
            raise ValueError(f"a frame of {stated} bytes where the receiver expects {size}")
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(f"this is no Zstandard frame: {error}") from error
