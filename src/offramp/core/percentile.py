"""Percentiles of measurements."""

import math

import numpy as np
from numpy.typing import ArrayLike

from offramp.core.checks import FloatArray


def percentile(values: ArrayLike, percent: float, axis: int = -1) -> FloatArray:
    """Along `axis`, the least value that `percent` of a hundred values do not exceed.

    values: at least one along that axis, which the result no longer has.
    percent: above 0, at most 100.

    It is one of the values, never a point between two: the inverse of their distribution function, definition 1 of
    Hyndman and Fan, "Sample Quantiles in Statistical Packages", The American Statistician 50 (1996).
    """
    values = np.asarray(values, np.float64)
    # The product is exact for whole numbers, percent / 100 is not: 0.07 * 100 is above 7.
    rank = math.ceil(percent * values.shape[axis] / 100)
    return np.asarray(np.take(np.partition(values, rank - 1, axis=axis), rank - 1, axis=axis))
