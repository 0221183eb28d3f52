"""The frontier under construction, against sorting everything at the end."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.core import pareto

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40)


@pytest.mark.parametrize("goal", [pareto.FRONTIER, pareto.LEAST_LATENCY, pareto.MOST_ACCURACY])
@given(wanted=POINTS)
def test_inserting_one_by_one_keeps_what_sorting_keeps(goal: int, wanted: list[tuple[int, int]]) -> None:
    points, rows, count = np.empty((50, 2)), np.zeros((50, 1), np.int64), 0
    for tag, (latency, accuracy) in enumerate(wanted):
        if not pareto.covered(points, count, latency, accuracy, goal):
            # Later plans have smaller rows, so of equal ones the last must win.
            count = pareto.insert(points, rows, count, latency, accuracy, np.array([-tag]), goal)
    found = [(*point, row) for point, (row,) in zip(points[:count].tolist(), rows[:count].tolist(), strict=True)]
    key = {
        pareto.FRONTIER: lambda p: (p[0], -p[1], p[2]),
        pareto.LEAST_LATENCY: lambda p: (p[0], -p[1], p[2]),
        pareto.MOST_ACCURACY: lambda p: (-p[1], p[0], p[2]),
    }[goal]
    ordered = sorted(((latency, accuracy, -tag) for tag, (latency, accuracy) in enumerate(wanted)), key=key)
    if goal == pareto.FRONTIER:
        ordered = [p for i, p in enumerate(ordered) if all(q[1] < p[1] for q in ordered[:i])]
    else:
        ordered = ordered[:1]
    assert found == ordered


@given(wanted=POINTS, accuracy=st.integers(0, 6), goal=st.integers(0, 2))
def test_latency_to_beat_is_where_covering_begins(wanted: list[tuple[int, int]], accuracy: int, goal: int) -> None:
    points, rows, count = np.empty((50, 2)), np.zeros((50, 1), np.int64), 0
    for latency, right in wanted:
        if not pareto.covered(points, count, latency, right, goal):
            count = pareto.insert(points, rows, count, latency, right, np.zeros(1, np.int64), goal)
    ceiling = pareto.latency_to_beat(points, count, accuracy, goal)
    for latency in range(8):
        if latency != ceiling:
            assert pareto.covered(points, count, latency, accuracy, goal) == (latency > ceiling)


@given(wanted=POINTS)
def test_nondominated_by_definition(wanted: list[tuple[int, int]]) -> None:
    array = np.array(wanted, np.float64)
    kept = pareto.nondominated(array[:, 0], array[:, 1])
    for i, (latency, accuracy) in enumerate(wanted):
        no_worse = [other for other in wanted if other[0] <= latency and other[1] >= accuracy]
        better = any(other != (latency, accuracy) for other in no_worse)
        assert kept[i] == (not better and (latency, accuracy) not in wanted[:i])
