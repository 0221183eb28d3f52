"""Exact search where latency and accuracy add up along a plan: the published and the marginal exit model.

A plan is a path of states (last block, tier, tiers used). For one threshold T every step's cost is known from its two
ends, so the frontier is a bi-objective shortest path in a graph without cycles. Labels are set layer by layer, by
number of partitions. A label goes when

- another label at its state, having used no other tiers, is no worse in anything (dominance); or
- the least latency and the most accuracy still to come, each found on its own and with tiers used freely (bounds),
  would not take it past a plan already found, or the least of another resource takes it past its budget.

Neither loses a member of the frontier. Bounds cost O(R N^2 M + R N M^2) per threshold.

The functions are search kernels: plain Python on arrays that `offramp.core.compiling` can compile. Axes: K thresholds,
N blocks, M tiers, R resources, of which the first is to be least, latency or energy; p and q are blocks, 0 is the
input; a and b are tiers.
"""

import numpy as np

from offramp.core.checks import BoolArray, FloatArray, IntArray
from offramp.core.pareto import covered, insert, less, row_before
from offramp.core.placement import missing

# Columns of a label: the tiers it has used as bits, the label it came from, its last block and tier, how many
# partitions that tier holds and the block before the first of them, the next label at the same state, whether it is
# dominated.
_USED, _PARENT, _END, _TIER, _HELD, _FIRST, _NEXT, _DEAD = 0, 1, 2, 3, 4, 5, 6, 7
_COLUMNS = 8


def bounds(
    exited: FloatArray,
    accuracy: FloatArray,
    compute: FloatArray,
    send: FloatArray,
    result: FloatArray,
    fits: BoolArray,
    joins: BoolArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What is still to come, at best, with tiers used freely; for one threshold.

    Arguments as in `search_additive`, `exited` [N+1] for one threshold.

    Returns
    -------
        arrived: [R, N+1, M] least of each resource from having block p's output on tier b, about to run block p+1.
        departing: [R, N+1, M] the same from having run block p on tier a.
        gain: [N+1] most accuracy the samples that went on past block p can add.

    """
    resources, m, n = compute.shape[0], compute.shape[1], compute.shape[2] - 1
    arrived = np.full((resources, n + 1, m), np.inf)
    departing = np.full((resources, n + 1, m), np.inf)
    gain = np.full(n + 1, -np.inf)
    for p in range(n - 1, -1, -1):
        stay = 1.0 - exited[p]
        for q in range(p + 1, n + 1):
            gain[p] = max(gain[p], stay * accuracy[q])
            if q < n:
                gain[p] = max(gain[p], (exited[q] - exited[p]) * accuracy[q] + gain[q])
        for r in range(resources):
            for b in range(m):
                for q in range(p + 1, n + 1):
                    if fits[b, p, q]:
                        onward = stay * result[r, b]
                        if q < n:
                            onward = min(onward, (exited[q] - exited[p]) * result[r, b] + departing[r, q, b])
                        arrived[r, p, b] = min(arrived[r, p, b], stay * compute[r, b, p, q] + onward)
            for a in range(m):
                for b in range(m):
                    if joins[a, b]:
                        departing[r, p, a] = min(departing[r, p, a], stay * send[r, a, b, p] + arrived[r, p, b])
    return arrived, departing, gain


def dominates(costs: FloatArray, links: IntArray, i: int, j: int, required: int, same_runs: bool) -> bool:
    """Whether every plan through label `j` has one through `i`, at the same block and tier, that is preferred to it.

    required: tiers that a plan must use, as bits.
    same_runs: whether the blocks a tier holds already bear on what it can still take.
    """
    mine, yours = links[i, _USED], links[j, _USED]
    if mine & ~yours != 0 or yours & ~mine & required != 0 or links[i, _HELD] > links[j, _HELD]:
        return False
    if same_runs and links[i, _FIRST] < links[j, _FIRST]:
        return False
    last = costs.shape[1] - 1
    better = less(costs[j, last], costs[i, last])
    if less(costs[i, last], costs[j, last]):
        return False
    for r in range(last):
        if less(costs[j, r], costs[i, r]):
            return False
        better = better or less(costs[i, r], costs[j, r])
    return better or came_first(links, i, j)


def came_first(links: IntArray, i: int, j: int) -> bool:
    """Whether label `i` leads to a smaller row than label `j`: fewer partitions, then ends, then tiers."""
    by_end, by_tier = 0, 0
    while i > 0 and j > 0:
        if links[i, _END] != links[j, _END]:
            by_end = links[i, _END] - links[j, _END]
        if links[i, _TIER] != links[j, _TIER]:
            by_tier = links[i, _TIER] - links[j, _TIER]
        i, j = links[i, _PARENT], links[j, _PARENT]
    if i != j:
        return i <= 0  # both reached the root together, or the shorter one reached it first
    return by_end < 0 or (by_end == 0 and by_tier < 0)


def write_row(row: IntArray, links: IntArray, label: int, end: int, tier: int, level: int) -> None:
    """Write into `row` the plan that goes through `label` and ends with `end` on `tier`, at threshold `level`."""
    most = (len(row) - 1) // 3
    parts, i = 1, label
    while i > 0:
        parts += 1
        i = links[i, _PARENT]
    row[:] = 0
    row[0] = parts
    row[parts] = end
    row[most + parts] = tier
    k, i = parts - 1, label
    while i > 0:
        row[k] = links[i, _END]
        row[most + k] = links[i, _TIER]
        row[2 * most + k] = level
        k, i = k - 1, links[i, _PARENT]


def search_additive(
    exited: FloatArray,
    accuracy: FloatArray,
    compute: FloatArray,
    send: FloatArray,
    result: FloatArray,
    start: FloatArray,
    fits: BoolArray,
    joins: BoolArray,
    tier_bit: IntArray,
    required: int,
    exits_per_tier: int,
    same_runs: bool,
    floor: float,
    limits: FloatArray,
    goal: int,
    stop: BoolArray,
    most_labels: int,
) -> tuple[FloatArray, IntArray, float, float]:
    """Find the plans that `goal` asks for among those at least as accurate as `floor` and within `limits`.

    exited: [K, N+1] F_i(T).
    accuracy: [N+1] acc_i.
    compute: [R, M, N+1, N+1] what blocks p+1..q take of each resource on tier j.
    send: [R, M, M, N+2] what object i takes from tier to tier.
    result: [R, M] what the result takes from a tier to the destination.
    start: [R, M] what the input takes from the source to a tier.
    fits: [M, N+1, N+1] whether tier j may hold blocks p+1..q; if so, then any of them, too.
    joins: [M, M] whether a partition on tier b may follow one on tier a.
    tier_bit: [M] the bit of each in `required`. Where a tier comes several times, as the places that what a step takes
        tells apart, they have the same, and a plan uses one of them.
    required: tiers that a plan must use, as bits.
    exits_per_tier: most partitions on a tier, one after the other.
    same_runs: whether `fits` depends on more than the tier and block p+1.
    limits: [R] most of each resource.
    stop: [1] ends the search early where it becomes true.
    most_labels: ends it where it would need more labels than that, which take 8 (R + 9) bytes each.
    Returns points [n, 2] and rows [n, 3P+1] as in `offramp.core.pareto`, and for a search that was ended the least
    latency and the most accuracy that a plan not looked at could have (else infinity and minus infinity).
    """
    resources, m, n = compute.shape[0], compute.shape[1], compute.shape[2] - 1
    everywhere = 2 * np.max(tier_bit) - 1
    levels, most_parts = exited.shape[0], min(n, len(np.unique(tier_bit)) * exits_per_tier)
    points, rows, count = np.empty((64, 2)), np.zeros((64, 3 * most_parts + 1), np.int64), 0
    row = np.zeros(3 * most_parts + 1, np.int64)
    costs, links = np.zeros((1024, resources + 1)), np.zeros((1024, _COLUMNS), np.int64)
    reach, run, total = np.zeros(resources), np.zeros(resources), np.zeros(resources)
    links[0, _PARENT], links[0, _TIER] = -1, -1
    overflow = False
    for level in range(levels):
        exited_by = exited[level]
        arrived, departing, gain = bounds(exited_by, accuracy, compute, send, result, fits, joins)
        newest = np.full((n + 1, m), -1, np.int64)  # the first label of each state's list
        begin, labels = 0, 1
        while begin < labels:
            layer_end = labels
            for i in range(begin, layer_end):
                if links[i, _DEAD]:
                    continue
                p, a, used = links[i, _END], links[i, _TIER], links[i, _USED]
                stay = 1.0 - exited_by[p]
                most = costs[i, resources] + gain[p]
                if most < floor:
                    continue
                for b in range(m):
                    if b == a:
                        if links[i, _HELD] == exits_per_tier:
                            continue
                        held, first = links[i, _HELD] + 1, links[i, _FIRST]
                    elif used & tier_bit[b] or (i > 0 and not joins[a, b]):
                        continue
                    else:
                        held, first = 1, p
                    affordable = True
                    for r in range(resources):
                        reach[r] = costs[i, r] + (start[r, b] if i == 0 else stay * send[r, a, b, p])
                        affordable = affordable and reach[r] + arrived[r, p, b] <= limits[r]
                    if not affordable or covered(points, count, reach[0] + arrived[0, p, b], most, goal):
                        continue
                    now_used = used | tier_bit[b]
                    full = held == exits_per_tier and now_used == everywhere
                    for q in range(p + 1, n + 1):
                        if not fits[b, first, q]:
                            continue
                        affordable = now_used & required == required
                        for r in range(resources):
                            run[r] = reach[r] + stay * compute[r, b, p, q]
                            total[r] = run[r] + stay * result[r, b]
                            affordable = affordable and total[r] <= limits[r]
                        right = costs[i, resources] + stay * accuracy[q]
                        if affordable and right >= floor and not covered(points, count, total[0], right, goal):
                            if count == len(points):
                                points, rows = np.concatenate((points, points)), np.concatenate((rows, rows))
                            write_row(row, links, i, q, b, level)
                            count = insert(points, rows, count, total[0], right, row, goal)
                        if q == n or full or missing(required, now_used) > n - q:
                            continue
                        exit_rate = exited_by[q] - exited_by[p]
                        right = costs[i, resources] + exit_rate * accuracy[q]
                        affordable = right + gain[q] >= floor
                        for r in range(resources):
                            total[r] = run[r] + exit_rate * result[r, b]
                            affordable = affordable and total[r] + departing[r, q, b] <= limits[r]
                        if not affordable or covered(
                            points, count, total[0] + departing[0, q, b], right + gain[q], goal
                        ):
                            continue
                        if labels == most_labels:
                            overflow = True
                            continue
                        if labels == len(links):
                            costs, links = np.concatenate((costs, costs)), np.concatenate((links, links))
                        costs[labels, :resources], costs[labels, resources] = total, right
                        links[labels, _USED], links[labels, _PARENT] = now_used, i
                        links[labels, _END], links[labels, _TIER] = q, b
                        links[labels, _HELD], links[labels, _FIRST] = held, first
                        links[labels, _NEXT], links[labels, _DEAD] = newest[q, b], 0
                        if not settle(costs, links, labels, required, same_runs):
                            newest[q, b] = labels
                            labels += 1
                if overflow or stop[0]:
                    travel = (compute, send, result, start, fits, joins)
                    fastest, surest = unexplored(costs, links, i, labels, level, exited, accuracy, travel)
                    return points[:count], rows[:count], fastest, surest
            begin = layer_end
    return points[:count], rows[:count], np.inf, -np.inf


def settle(costs: FloatArray, links: IntArray, new: int, required: int, same_runs: bool) -> bool:
    """Weigh a new label against those at its state: whether it is dominated; those it dominates are marked dead."""
    other = links[new, _NEXT]
    while other >= 0:
        if not links[other, _DEAD]:
            if dominates(costs, links, other, new, required, same_runs):
                return True
            if dominates(costs, links, new, other, required, same_runs):
                links[other, _DEAD] = 1
        other = links[other, _NEXT]
    return False


def unexplored(
    costs: FloatArray,
    links: IntArray,
    begin: int,
    labels: int,
    level: int,
    exited: FloatArray,
    accuracy: FloatArray,
    travel: tuple[FloatArray, FloatArray, FloatArray, FloatArray, BoolArray, BoolArray],
) -> tuple[float, float]:
    """The least latency and the most accuracy of plans through labels from `begin` on, or at later thresholds."""
    compute, send, result, start, fits, joins = travel
    fastest, surest = np.inf, -np.inf
    for later in range(level, len(exited)):
        arrived, departing, gain = bounds(exited[later], accuracy, compute, send, result, fits, joins)
        if later > level or begin == 0:
            fastest = min(fastest, np.min(start[0] + arrived[0, 0]))
            surest = max(surest, gain[0])
        else:
            for i in range(begin, labels):
                if not links[i, _DEAD]:
                    fastest = min(fastest, costs[i, 0] + departing[0, links[i, _END], links[i, _TIER]])
                    surest = max(surest, costs[i, costs.shape[1] - 1] + gain[links[i, _END]])
    return fastest, surest


KERNELS = (
    less, covered, row_before, insert, missing, bounds, came_first, dominates, write_row, settle, unexplored,
    search_additive,
)  # fmt: skip
