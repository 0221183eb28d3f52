"""The checks that the core's types share. Each yields a `Fault` per thing that is wrong."""

import math
from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from offramp.errors import Fault, fail

# Arrays by what they hold. Shapes stand in docstrings: [N, S].
FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
WordArray = NDArray[np.uint64]
Uint8Array = NDArray[np.uint8]

S = TypeVar("S", bound=np.generic)

# Shares of samples are decimal fractions written by other programs: sums may be off by rounding.
ROUNDING = 1e-6


def positive(place: str, value: float, remedy: str) -> Iterator[Fault]:
    """`value` is finite and above zero."""
    if not (math.isfinite(value) and value > 0):
        yield Fault(place, f"{value} is not above zero", remedy)


def not_negative(place: str, value: float, remedy: str) -> Iterator[Fault]:
    """`value` is finite and zero or more."""
    if not (math.isfinite(value) and value >= 0):
        yield Fault(place, f"{value} is not zero or more", remedy)


def share(place: str, value: float, remedy: str) -> Iterator[Fault]:
    """`value` lies in [0, 1]."""
    if not 0 <= value <= 1:
        yield Fault(place, f"{value} is outside [0, 1]", remedy)


def times(place: str, values: FloatArray) -> Iterator[Fault]:
    """Every entry of `values` is a time: finite and zero or more."""
    yield from _entries(place, values, (values >= 0) & np.isfinite(values), "a time", "give seconds, zero or more")


def shares(place: str, values: FloatArray) -> Iterator[Fault]:
    """Every entry of `values` lies in [0, 1]."""
    yield from _entries(place, values, (values >= 0) & (values <= 1), "a share", "give a number from 0 to 1")


def increasing(place: str, values: FloatArray, *, strictly: bool) -> Iterator[Fault]:
    """`values` [n] go up; where they must not stand still, `strictly`."""
    steps = np.diff(values)
    wrong = steps <= 0 if strictly else steps < -ROUNDING
    for i in np.flatnonzero(wrong)[:1]:
        yield Fault(
            f"{place}[{i + 1}]",
            f"{values[i + 1]:g} comes after {values[i]:g}",
            "values must go up" if strictly else "values must not go down",
        )


def length(place: str, actual: int, expected: int, meaning: str) -> Iterator[Fault]:
    """A list has as many entries as it must."""
    if actual != expected:
        yield Fault(place, f"has {actual} entries", f"give {expected}: {meaning}")


def thresholds(place: str, values: FloatArray) -> Iterator[Fault]:
    """Thresholds are normalized entropies, each above the one before."""
    yield from shares(place, values)
    yield from increasing(place, values, strictly=True)
    if not len(values):
        yield Fault(place, "is empty", "give at least one threshold")


def _entries(place: str, values: FloatArray, valid: BoolArray, kind: str, remedy: str) -> Iterator[Fault]:
    for index in np.argwhere(~valid):
        where = "".join(f"[{i}]" for i in index)
        yield Fault(f"{place}{where}", f"{values[tuple(index)]} is not {kind}", remedy)


def frozen_array(values: object, dtype: type[S], ndim: int, place: str) -> NDArray[S]:
    """A read-only copy of `values` with that type and number of axes."""
    try:
        array: NDArray[S] = np.array(values, dtype=dtype)
    except (TypeError, ValueError):
        problem = "is not a list of numbers" if ndim == 1 else "is not a rectangular array of numbers"
        fail(place, problem, "give a list" if ndim == 1 else f"give {ndim} axes of equal-length rows")
    if array.ndim != ndim:
        fail(place, f"has {array.ndim} axes", "give a list of numbers" if ndim == 1 else f"give {ndim}")
    array.setflags(write=False)
    return array
