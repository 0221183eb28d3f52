"""The fastest placement of given partitions, for the replay search.

The functions are search kernels: plain Python on arrays that `offramp.core.compiling` can compile. Axes: N blocks, M
tiers, L partitions; p and q are blocks, 0 is the input; a and b are tiers.
"""

import numpy as np

from offramp.core.checks import BoolArray, FloatArray, IntArray
from offramp.core.pareto import less


def quantile(shares: FloatArray, latencies: FloatArray, count: int, percent: float) -> float:
    """The least latency that `percent` of a hundred samples don't exceed, of the first `count` groups of samples.

    shares, latencies: [>= count] share of all samples in each group, and their latency.
    """
    order = np.argsort(latencies[:count])
    reached = 0.0
    for k in order:
        reached += shares[k]
        # A share is a count over a count: a sum that should be exactly 0.95 may be short by rounding.
        if reached >= percent / 100 - 1e-12:
            return latencies[k]  # type: ignore[no-any-return]
    return latencies[order[count - 1]]  # type: ignore[no-any-return]


def missing(required: int, used: int) -> int:
    """How many of the `required` tiers are not among those `used`, both as bits."""
    left, count = required & ~used, 0
    while left > 0:
        left, count = left & (left - 1), count + 1
    return count


def place(
    row: IntArray,
    arrive_share: FloatArray,
    exit_share: FloatArray,
    compute: FloatArray,
    send: FloatArray,
    result: FloatArray,
    start: FloatArray,
    fits: BoolArray,
    joins: BoolArray,
    tier_bit: IntArray,
    required: int,
    exits_per_tier: int,
    percent: float,
    limits: FloatArray,
    ceiling: float,
    stop: BoolArray,
) -> float:
    """Find the fastest placement for the ends in `row`, write it there, and return its latency.

    arrive_share, exit_share: [>= L] share of samples that reach, and that exit at, each partition.
    percent: as in `search_replay`.
    ceiling: slower placements are of no use; infinity is returned where there are only those.
    stop: [1] where it becomes true, the best placement so far is written, if there is one.
    Of equally fast placements the one nearest the device. Depth first over the orders of tiers.
    """
    resources, m = start.shape
    parts, most_parts = row[0], (len(row) - 1) // 3
    spent = np.zeros((parts + 1, resources))
    trial = np.full(parts + 1, -1, np.int64)
    used = np.zeros(parts + 1, np.int64)  # tiers used before partition k, as bits
    held, first = np.zeros(parts + 1, np.int64), np.zeros(parts + 1, np.int64)  # by the tier before, as in a label
    # Of the samples that exit at partition k, and last of the rest.
    shares, latencies = np.zeros(parts + 1), np.zeros(parts + 1)
    best, k = np.inf, 0
    if missing(required, 0) > parts:
        return float(best)
    while k >= 0:
        if parts > 1 and stop[0]:  # one partition takes no longer than it takes to look
            break
        trial[k] += 1
        b = trial[k]
        if b == m:
            trial[k] = -1
            k -= 1
            continue
        p, q = (0 if k == 0 else row[k]), row[1 + k]
        if k > 0 and b == trial[k - 1]:
            if held[k] == exits_per_tier:
                continue
            held[k + 1], first[k + 1] = held[k] + 1, first[k]
        elif used[k] & tier_bit[b] or (k > 0 and not joins[trial[k - 1], b]):
            continue
        else:
            held[k + 1], first[k + 1] = 1, p
        if not fits[b, first[k + 1], q]:
            continue
        used[k + 1] = used[k] | tier_bit[b]
        if missing(required, used[k + 1]) > parts - k - 1:
            continue
        affordable = True
        for r in range(resources):
            each_sample = r == 0 and percent > 0
            weight = 1.0 if each_sample else arrive_share[k]
            sent = start[r, b] if k == 0 else weight * send[r, trial[k - 1], b, p]
            spent[k + 1, r] = spent[k, r] + sent + weight * compute[r, b, p, q]
            if each_sample:
                shares[k], latencies[k] = exit_share[k], spent[k + 1, 0] + result[0, b]
                shares[k + 1], latencies[k + 1] = arrive_share[k] - exit_share[k], spent[k + 1, 0]
                total = quantile(shares, latencies, k + 2, percent)
            else:
                spent[k + 1, r] += exit_share[k] * result[r, b]
                affordable = affordable and spent[k + 1, r] <= limits[r]
        if percent == 0:
            total = spent[k + 1, 0]
        if not affordable or total > limits[0] or less(ceiling, total) or not less(total, best):
            continue
        if k + 1 < parts:
            k += 1
        else:
            best = total
            row[1 + most_parts : 1 + most_parts + parts] = trial[:parts]
    return float(best)
