"""Percentiles against their definition, and against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from offramp.core.percentile import percentile


@pytest.mark.parametrize("count", [1, 7, 20, 100, 1000])
@pytest.mark.parametrize("percent", [1, 7, 28, 50, 95, 99, 100])
def test_of_the_first_n_whole_numbers_it_is_the_rank_rounded_up(count: int, percent: int) -> None:
    shuffled = np.random.default_rng(0).permutation(np.arange(1, count + 1))
    assert percentile(shuffled, percent) == -(-percent * count // 100)


@given(
    arrays(np.float64, array_shapes(min_dims=1, max_dims=3), elements=st.floats(-1e9, 1e9)),
    st.integers(1, 100),
    st.data(),
)
def test_so_many_of_a_hundred_do_not_exceed_it_and_no_lesser_value_will_do(
    values: np.ndarray, percent: int, data: st.DataObject
) -> None:
    axis = data.draw(st.integers(-values.ndim, values.ndim - 1))
    least = np.expand_dims(percentile(values, percent, axis), axis)
    count = values.shape[axis]
    assert ((values <= least).sum(axis) * 100 >= percent * count).all()
    assert ((values < least).sum(axis) * 100 < percent * count).all()
    assert (values == least).any(axis).all(), "it is one of the values"
