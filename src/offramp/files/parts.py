"""Several inputs as one: token ids and their mask, an image and a table, packed in a row of numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from offramp.errors import fail
from offramp.files.arrays import TYPES, Samples, as_samples
from offramp.files.maps import empty

# So many whole numbers, from zero on, are floating-point numbers of 32 bits as well.
_EXACT = 1 << 24


@dataclass(frozen=True, slots=True)
class Part:
    """One of several inputs.

    name: as the network's own `forward` calls it.
    shape: of a sample's.
    kind: the type of its numbers.
    """

    name: str
    shape: tuple[int, ...]
    kind: str

    @property
    def size(self) -> int:
        """How many numbers of a sample it has."""
        return math.prod(self.shape)


Parts = tuple[Part, ...]
"""In the order in which they are packed; none where there is one input only."""


def packed(place: str, inputs: Mapping[str, Samples]) -> tuple[Samples, Parts]:
    """[S, n] the inputs of every sample in a row, by name in order, and what the parts of a row are.

    inputs: [S, ...] by name. They travel in the smallest type that holds all of their types.
    place: in messages. Raises `InputError` where they don't go together.
    """
    arrays = {name: as_samples(f"{place}: {name}", inputs[name]) for name in sorted(inputs)}
    counts = {name: len(array) for name, array in arrays.items()}
    if len({*counts.values()}) > 1:
        said = ", ".join(f"{count} of {name}" for name, count in counts.items())
        fail(place, f"holds {said}", "give every sample each of its inputs")
    parts = tuple(Part(name, array.shape[1:], array.dtype.name) for name, array in arrays.items())
    kind = np.result_type(*arrays.values())
    if kind.name not in TYPES:
        for name, array in arrays.items():
            if np.issubdtype(array.dtype, np.integer) and max(array.max(), -array.min()) > _EXACT:
                problem = f"has {array.max()}, which floating-point numbers of 32 bits don't hold"
                fail(
                    f"{place}: {name}", problem, f"give whole numbers up to {_EXACT}, or no other inputs with fractions"
                )
        kind = np.dtype(np.float32)
    rows = empty(place, (next(iter(counts.values())), sum(part.size for part in parts)), kind)
    for part, begin, array in zip(parts, _begins(parts), arrays.values(), strict=True):
        rows[:, begin : begin + part.size] = array.reshape(len(array), -1)
    return rows, parts


def unpacked(samples: Samples, parts: Parts) -> dict[str, Samples]:
    """What `packed` was given."""
    inputs = {}
    for part, begin in zip(parts, _begins(parts), strict=True):
        rows = empty(part.name, (len(samples), part.size), part.kind)
        rows[:] = samples[:, begin : begin + part.size]
        inputs[part.name] = rows.reshape(len(samples), *part.shape)
    return inputs


def _begins(parts: Parts) -> list[int]:
    """Where each part begins in a row."""
    return [*accumulate((part.size for part in parts[:-1]), initial=0)] if parts else []
