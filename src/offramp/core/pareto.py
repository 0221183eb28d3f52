"""The Pareto frontier of accuracy and latency while a search is filling it.

These functions are search kernels: plain Python on arrays that `offramp.core.compiling` can compile. A frontier is

- points: float64 [capacity, 2], latency in seconds and accuracy of each member, both strictly increasing;
- rows: int64 [capacity, 3P+1], the member's plan: its number of partitions, then P places each for the ends, the tiers
  and the thresholds (as positions in the list that is tried), of which as many as the plan needs are in use.

**Dominance and ties.** A plan dominates another if it is no worse in both and better in one. Of plans equal in both,
the frontier keeps the one with the lexicographically smallest row: fewest partitions, then smallest ends, then tiers
nearest the device, then lowest thresholds. Sums of the same times in another order differ by rounding, some units in
the last place. So latencies count as equal that differ by no more than `TIE` of themselves, and accuracies that differ
by no more than `TIE`; of such plans the rules above decide as of equal ones.

`goal` says what is kept: all that no other dominates, or the single best plan by one objective, ties decided by the
other objective and then by row.
"""

import numpy as np

from offramp.core.checks import BoolArray, FloatArray, IntArray

FRONTIER, LEAST_LATENCY, MOST_ACCURACY = 0, 1, 2

# Rounding is far below it (a sum of n terms is off by n times 1.1e-16 at most), what tells plans apart far above.
TIE = 1e-12


def less(a: float, b: float) -> bool:
    """Whether latency `a` is below `b` by more than rounding can make it. Of accuracies as of latencies."""
    # The smaller of the two sizes: any number is below infinity.
    return a < b and b - a > TIE * min(abs(a), abs(b))


def covered(points: FloatArray, count: int, latency: float, accuracy: float, goal: int) -> bool:
    """Whether a member is better than any plan at least that slow and at most that accurate. O(log count)."""
    if count == 0:
        return False
    best_s: float = points[0, 0]
    best_accuracy: float = points[0, 1]
    if goal == LEAST_LATENCY:
        return less(best_s, latency) or (not less(latency, best_s) and less(accuracy, best_accuracy))
    if goal == MOST_ACCURACY:
        return less(accuracy, best_accuracy) or (not less(best_accuracy, accuracy) and less(best_s, latency))
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if not less(latency, points[middle, 0]):
            low = middle + 1
        else:
            high = middle
    if low == 0:
        return False
    before_s: float = points[low - 1, 0]
    before_accuracy: float = points[low - 1, 1]
    return less(accuracy, before_accuracy) or (not less(before_accuracy, accuracy) and less(before_s, latency))


def latency_to_beat(points: FloatArray, count: int, accuracy: float, goal: int) -> float:
    """The latency above which a plan of that accuracy is covered, in seconds. O(log count)."""
    if count == 0 or (goal == MOST_ACCURACY and less(points[0, 1], accuracy)):
        return float(np.inf)
    if goal == MOST_ACCURACY and less(accuracy, points[0, 1]):
        return -float(np.inf)
    if goal != FRONTIER:
        best_s: float = points[0, 0]
        return best_s
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if less(points[middle, 1], accuracy):
            low = middle + 1
        else:
            high = middle
    if low == count:
        return float(np.inf)
    least_s: float = points[low, 0]
    return least_s


def row_before(a: IntArray, b: IntArray) -> bool:
    """Whether row `a` [n] comes lexicographically before row `b` [n]."""
    for i in range(len(a)):
        if a[i] != b[i]:
            before: bool = a[i] < b[i]
            return before
    return False


def insert(
    points: FloatArray, rows: IntArray, count: int, latency: float, accuracy: float, row: IntArray, goal: int
) -> int:
    """Add a plan that no member covers, drop the members it dominates, and return the new count.

    Needs a free place in `points` and `rows`. O(count) for the shift.
    """
    first = 0
    last = count
    if goal == FRONTIER:
        while first < count and less(points[first, 0], latency):
            first += 1
        last = first
        while last < count and not less(accuracy, points[last, 1]):
            last += 1
    alike = first < last and not less(latency, points[first, 0]) and not less(points[first, 0], latency)
    if alike and not less(accuracy, points[first, 1]) and not less(points[first, 1], accuracy):
        if row_before(row, rows[first]):
            rows[first] = row
        return count
    points[first + 1 : first + 1 + count - last] = points[last:count].copy()
    rows[first + 1 : first + 1 + count - last] = rows[last:count].copy()
    points[first, 0] = latency
    points[first, 1] = accuracy
    rows[first] = row
    return count + 1 - (last - first)


def nondominated(latency_s: FloatArray, accuracy: FloatArray) -> BoolArray:
    """[n] Which of n plans no other plan dominates; of equal ones, the first. O(n log n)."""
    latency_rank, accuracy_rank = _ranks(latency_s), _ranks(accuracy)
    order = np.lexsort((np.arange(len(latency_s)), -accuracy_rank, latency_rank))
    best_before = np.maximum.accumulate(np.concatenate([[-1], accuracy_rank[order][:-1]]))
    keep = np.zeros(len(latency_s), np.bool_)
    keep[order] = accuracy_rank[order] > best_before
    return keep


def _ranks(values: FloatArray) -> IntArray:
    """[n] The place of each value among them, in order; those that count as equal share one."""
    order = np.argsort(values, kind="stable")
    before, after = values[order][:-1], values[order][1:]
    apart = after - before > TIE * np.minimum(abs(before), abs(after))
    ranks = np.zeros(len(values), np.int64)
    ranks[order[1:]] = np.cumsum(apart)
    return ranks
