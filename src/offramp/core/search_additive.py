"""Exact search where latency and accuracy add up along a plan: the published and the marginal exit model.

A plan is a path of states (last block, tier, tiers used). For one threshold T every step's cost is known from its two
ends, so the frontier is a bi-objective shortest path in a graph without cycles. Labels are set layer by layer, by
number of partitions. A label goes when

- another label at its state, having used no other tiers, is no slower and no less accurate (dominance); or
- the least latency and the most accuracy still to come, each found on its own and with tiers used freely (bounds),
  would not take it past a plan already found.

Neither loses a member of the frontier. Bounds cost O(N^2 M + N M^2) per threshold.

The functions are search kernels: plain Python on arrays that `offramp.core.compiling` can compile. Axes: K thresholds,
N blocks, M tiers; p and q are blocks, 0 is the input; a and b are tiers.
"""

import numpy as np

from offramp.core.checks import FloatArray, IntArray
from offramp.core.pareto import covered, insert, row_before

# Columns of a label: the tiers it has used as bits, the label it came from, its last block and tier, the next label
# at the same state, and whether another label dominates it.
_USED, _PARENT, _END, _TIER, _NEXT, _DEAD = 0, 1, 2, 3, 4, 5
_COLUMNS = 6


def bounds(
    left: FloatArray, accuracy: FloatArray, compute: FloatArray, send: FloatArray, result: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What is still to come, at best, with tiers used freely; for one threshold.

    Arguments as in `search`, `left` [N+1] for one threshold.

    Returns
    -------
        arrived: [N+1, M] least latency from having block p's output on tier b, about to run block p+1.
        departing: [N+1, M] the same from having run block p on tier a, with the next partition on another tier.
        gain: [N+1] most accuracy the samples that went on past block p can add.

    """
    n, m = compute.shape[1] - 1, compute.shape[0]
    arrived = np.full((n + 1, m), np.inf)
    departing = np.full((n + 1, m), np.inf)
    gain = np.full(n + 1, -np.inf)
    for p in range(n - 1, -1, -1):
        stay = 1.0 - left[p]
        for q in range(p + 1, n + 1):
            gain[p] = max(gain[p], stay * accuracy[q])
            if q < n:
                gain[p] = max(gain[p], (left[q] - left[p]) * accuracy[q] + gain[q])
        for b in range(m):
            for q in range(p + 1, n + 1):
                onward = stay * result[b]
                if q < n:
                    onward = min(onward, (left[q] - left[p]) * result[b] + departing[q, b])
                arrived[p, b] = min(arrived[p, b], stay * compute[b, p, q] + onward)
        for a in range(m):
            for b in range(m):
                if a != b:
                    departing[p, a] = min(departing[p, a], stay * send[a, b, p] + arrived[p, b])
    return arrived, departing, gain


def came_first(links: IntArray, i: int, j: int) -> bool:
    """Whether label `i` leads to a smaller row than label `j`, both with as many partitions: ends first, then tiers."""
    by_end, by_tier = 0, 0
    while i > 0:
        if links[i, _END] != links[j, _END]:
            by_end = links[i, _END] - links[j, _END]
        if links[i, _TIER] != links[j, _TIER]:
            by_tier = links[i, _TIER] - links[j, _TIER]
        i, j = links[i, _PARENT], links[j, _PARENT]
    return by_end < 0 or (by_end == 0 and by_tier < 0)


def dominates(costs: FloatArray, links: IntArray, i: int, j: int) -> bool:
    """Whether every plan through label `j` has one through `i`, at the same block and tier, that is preferred to it."""
    if costs[i, 0] > costs[j, 0] or costs[i, 1] < costs[j, 1] or (links[i, _USED] & ~links[j, _USED]) != 0:
        return False
    if costs[i, 0] < costs[j, 0] or costs[i, 1] > costs[j, 1] or links[i, _USED] != links[j, _USED]:
        return True
    return came_first(links, i, j)


def write_row(row: IntArray, links: IntArray, label: int, end: int, tier: int, level: int, tiers: int) -> None:
    """Write into `row` the plan that goes through `label` and ends with `end` on `tier`, at threshold `level`."""
    row[:] = 0
    row[0] = 1
    i = label
    while i > 0:
        row[0] += 1
        i = links[i, _PARENT]
    k = row[0] - 1
    row[1 + k] = end
    row[1 + tiers + k] = tier
    i = label
    while i > 0:
        k -= 1
        row[1 + k] = links[i, _END]
        row[1 + tiers + k] = links[i, _TIER]
        row[1 + 2 * tiers + k] = level
        i = links[i, _PARENT]


def search_additive(
    left: FloatArray,
    accuracy: FloatArray,
    compute: FloatArray,
    send: FloatArray,
    result: FloatArray,
    start: FloatArray,
    floor: float,
    limit: float,
    goal: int,
) -> tuple[FloatArray, IntArray]:
    """Find the plans that `goal` asks for among those at least as accurate as `floor` and as fast as `limit`.

    left: [K, N+1] F_i(T).
    accuracy: [N+1] acc_i.
    compute: [M, N+1, N+1] seconds for blocks p+1..q on tier j.
    send: [M, M, N+2] seconds for object i from tier to tier.
    result: [M] seconds for the result from a tier to the destination.
    start: [M] seconds for the input from the source to a tier.
    Returns points [n, 2] and rows [n, 3M+1] as in `offramp.core.pareto`.
    """
    levels, n, m = left.shape[0], compute.shape[1] - 1, compute.shape[0]
    points, rows, count = np.empty((64, 2)), np.zeros((64, 3 * m + 1), np.int64), 0
    row = np.zeros(3 * m + 1, np.int64)
    costs, links = np.empty((1024, 2)), np.empty((1024, _COLUMNS), np.int64)
    for level in range(levels):
        gone = left[level]
        arrived, departing, gain = bounds(gone, accuracy, compute, send, result)
        newest = np.full((n + 1, m), -1, np.int64)  # the first label of each state's list
        costs[0, 0], costs[0, 1] = 0.0, 0.0
        links[0, _USED], links[0, _PARENT], links[0, _END], links[0, _TIER], links[0, _DEAD] = 0, -1, 0, -1, 0
        begin, labels = 0, 1
        while begin < labels:
            layer_end = labels
            for i in range(begin, layer_end):
                if links[i, _DEAD]:
                    continue
                p, a, used = links[i, _END], links[i, _TIER], links[i, _USED]
                stay = 1.0 - gone[p]
                most = costs[i, 1] + gain[p]
                if most < floor:
                    continue
                for b in range(m):
                    if (used >> b) & 1:
                        continue
                    there = costs[i, 0] + (start[b] if i == 0 else stay * send[a, b, p])
                    if there + arrived[p, b] > limit or covered(points, count, there + arrived[p, b], most, goal):
                        continue
                    now_used = used | (1 << b)
                    for q in range(p + 1, n + 1):
                        run = there + stay * compute[b, p, q]
                        total, right = run + stay * result[b], costs[i, 1] + stay * accuracy[q]
                        if total <= limit and right >= floor and not covered(points, count, total, right, goal):
                            if count == len(points):
                                points, rows = np.concatenate((points, points)), np.concatenate((rows, rows))
                            write_row(row, links, i, q, b, level, m)
                            count = insert(points, rows, count, total, right, row, goal)
                        if q == n or now_used == (1 << m) - 1:
                            continue
                        leave = gone[q] - gone[p]
                        total, right = run + leave * result[b], costs[i, 1] + leave * accuracy[q]
                        least, most_q = total + departing[q, b], right + gain[q]
                        if least > limit or most_q < floor or covered(points, count, least, most_q, goal):
                            continue
                        if labels == len(links):
                            costs, links = np.concatenate((costs, costs)), np.concatenate((links, links))
                        costs[labels, 0], costs[labels, 1] = total, right
                        links[labels, _USED], links[labels, _PARENT] = now_used, i
                        links[labels, _END], links[labels, _TIER] = q, b
                        links[labels, _NEXT], links[labels, _DEAD] = newest[q, b], 0
                        other, dominated = newest[q, b], False
                        while other >= 0 and not dominated:
                            if not links[other, _DEAD]:
                                dominated = dominates(costs, links, other, labels)
                                if not dominated and dominates(costs, links, labels, other):
                                    links[other, _DEAD] = 1
                            other = links[other, _NEXT]
                        if not dominated:
                            newest[q, b] = labels
                            labels += 1
            begin = layer_end
    return points[:count], rows[:count]


KERNELS = (covered, row_before, insert, bounds, came_first, dominates, write_row, search_additive)
