"""Exact search where samples are replayed from the exit table.

Which samples survive an exit depends on every exit before it, so costs don't add up over states. But accuracy and exit
rates don't depend on the placement at all. So the search walks, depth first, over the exits alone (block and
threshold of each), carrying the surviving samples as a bit set and, for each tier, the least latency of reaching it
with tiers used freely; only where that bound would make the frontier is the best placement found. A walk stops where

- the survivors' cheapest way to their results, tiers used freely, is too slow (bound on latency), or
- all survivors whom some later branch gets right would not make it accurate enough (bound on accuracy),

to be past the plans already found; or where all those would be too few of some class, or of all classes weighted.

The functions are search kernels: plain Python on arrays that `offramp.core.compiling` can compile. Axes: K thresholds,
N blocks, M tiers, W words of 64 samples; p and q are blocks, 0 is the input; a and b are tiers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from offramp.core.checks import BoolArray, FloatArray, IntArray, WordArray
from offramp.core.pareto import covered, insert, latency_to_beat, row_before
from offramp.core.sample_sets import overlap, overlap_compiled, population, tally, tally_compiled, too_few


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
) -> float:
    """Find the fastest placement for the ends in `row`, write it there, and return its latency.

    arrive_share, exit_share: [>= L] share of samples that reach, and that exit at, each partition.
    percent: as in `search_replay`.
    ceiling: slower placements are of no use; infinity is returned where there are only those.
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
    while k >= 0:
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
        if not affordable or total > limits[0] or total > ceiling or total >= best:
            continue
        if k + 1 < parts:
            k += 1
        elif used[parts] & required == required:
            best = total
            row[1 + most_parts : 1 + most_parts + parts] = trial[:parts]
    return float(best)


def finish(compute: FloatArray, send: FloatArray, result: FloatArray, fits: BoolArray, joins: BoolArray) -> FloatArray:
    """[N+1, M] least latency of one sample that has block p's output on tier b, about to run block p+1 there.

    It may exit there or continue on other tiers, used freely: where results are large and activations small, the way
    to the destination by another tier can be the cheaper one.
    """
    m, n = compute.shape[1], compute.shape[2] - 1
    least = np.full((n + 1, m), np.inf)
    after = np.full((n + 1, m), np.inf)  # from having run block q on tier b
    for p in range(n - 1, -1, -1):
        for b in range(m):
            after[p + 1, b] = result[0, b]
            for c in range(m):
                if joins[b, c]:
                    after[p + 1, b] = min(after[p + 1, b], send[0, b, c, p + 1] + least[p + 1, c])
        for b in range(m):
            for q in range(p + 1, n + 1):
                if fits[b, p, q]:
                    least[p, b] = min(least[p, b], compute[0, b, p, q] + after[q, b])
    return least


def search_replay(
    may_exit: WordArray,
    right: WordArray,
    later: WordArray,
    everyone: WordArray,
    samples: int,
    one_threshold: bool,
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
    floor: float,
    limits: FloatArray,
    goal: int,
    stop: BoolArray,
    class_sets: WordArray,
    least_right: FloatArray,
    class_weight: FloatArray,
    least_weight: float,
) -> tuple[FloatArray, IntArray, float, float]:
    """Find the plans that `goal` asks for among those at least as accurate as `floor` and within `limits`.

    may_exit: [K, N+1, W] samples whose score at the branch after block q is at or below the threshold.
    right: [N+1, W] samples the branch after block q gets right.
    later: [N+1, W] samples that some branch after block q's own gets right.
    everyone: [W] all samples, of which there are `samples`.
    one_threshold: all exits of a plan share one threshold; else each has its own.
    percent: latency is the one that so many of a hundred samples don't exceed; 0 for the mean over all samples.
    class_sets, least_right, class_weight, least_weight: floors by class, as in `too_few`; without them, of no class.
    The other arguments and what is returned are those of `search_additive`.
    """
    m, n = compute.shape[1], compute.shape[2] - 1
    levels, most_parts = len(may_exit), min(n, len(np.unique(tier_bit)) * exits_per_tier)
    # Members differ in accuracy, and accuracy is a count of samples.
    points, rows, count = np.empty((samples + 2, 2)), np.zeros((samples + 2, 3 * most_parts + 1), np.int64), 0
    row = np.zeros(3 * most_parts + 1, np.int64)
    least = finish(compute, send, result, fits, joins)

    # One entry per depth of the walk, that is, per exit chosen so far.
    remaining = np.zeros((most_parts + 1, len(everyone)), np.uint64)  # the samples that got past those exits,
    survivors = np.zeros(most_parts + 1, np.int64)  # their number,
    correct = np.zeros(most_parts + 1, np.int64)  # how many have exited with the right answer,
    answered = np.zeros((most_parts + 1, len(everyone)), np.uint64)  # which, where there are floors by class,
    most = np.zeros(most_parts + 1)  # and the accuracy if all that can come right do
    exits_before = np.zeros(most_parts + 1, np.int64)  # how many exited at the threshold tried before
    reach = np.zeros((most_parts + 1, m))  # least latency with the survivors' activations on tier b
    run = np.zeros((most_parts + 1, m))  # the same after running the block now tried as an end
    arrive_share, exit_share = np.zeros(most_parts + 1), np.zeros(most_parts + 1)
    exit_latency = np.zeros(most_parts + 1)  # for percentiles: least latency of a sample that exits there
    end = np.zeros(most_parts + 2, np.int64)  # the block being tried as an end,
    level, last = np.zeros(most_parts + 1, np.int64), np.zeros(most_parts + 1, np.int64)  # and the thresholds there

    remaining[0], survivors[0], reach[0] = everyone, samples, start[0]
    most[0] = overlap(everyone, later[0]) / samples
    # With a threshold per exit, first try one for all: a quick walk whose finds cut the long one short.
    for walk in range(1 if one_threshold else 2):
        shared = walk == 0
        depth = 0
        end[1], level[0], last[0] = 0, 0, 0
        while depth >= 0:
            # Without a floor the very first end gives a plan to hand back.
            if stop[0] and (count > 0 or floor > -np.inf or end[1] > 1):
                return points[:count], rows[:count], np.min(start[0] + least[0]), most[0]
            if level[depth] == last[depth]:  # the next end; first let all survivors exit there
                end[depth + 1] += 1
                p, q = end[depth], end[depth + 1]
                if q > n:
                    depth -= 1
                    continue
                exits_before[depth] = -1
                if q == n or depth + 1 == most_parts:
                    level[depth], last[depth] = 0, 0
                elif shared and depth > 0:
                    level[depth], last[depth] = level[0] - 1, level[0]
                else:
                    level[depth], last[depth] = 0, levels
                arrive_share[depth] = exit_share[depth] = survivors[depth] / samples
                weight = 1.0 if percent > 0 else arrive_share[depth]
                total = np.inf
                for b in range(m):
                    run[depth, b] = np.inf
                    if fits[b, p, q]:
                        run[depth, b] = reach[depth, b] + weight * compute[0, b, p, q]
                        total = min(total, run[depth, b] + weight * result[0, b])
                exit_latency[depth] = total
                if percent > 0:
                    total = quantile(exit_share, exit_latency, depth + 1, percent)
                if total > limits[0] or covered(points, count, total, most[depth], goal):
                    continue
                accuracy = (correct[depth] + overlap(remaining[depth], right[q])) / samples
                if accuracy >= floor and not covered(points, count, total, accuracy, goal):
                    if len(class_sets):
                        good = answered[depth] | (remaining[depth] & right[q])
                        if too_few(good, class_sets, least_right, class_weight, least_weight):
                            continue
                    row[:] = 0
                    row[0] = depth + 1
                    row[1 : depth + 2] = end[1 : depth + 2]
                    row[1 + 2 * most_parts : 1 + 2 * most_parts + depth] = level[:depth] - 1
                    ceiling = latency_to_beat(points, count, accuracy, goal)
                    space = (compute, send, result, start, fits, joins, tier_bit, required, exits_per_tier)
                    total = place(row, arrive_share, exit_share, *space, percent, limits, ceiling)
                    if total < np.inf and not covered(points, count, total, accuracy, goal):
                        count = insert(points, rows, count, total, accuracy, row, goal)
                continue

            q = end[depth + 1]
            exiting = may_exit[level[depth], q]
            level[depth] += 1
            exits = overlap(remaining[depth], exiting)
            if exits == survivors[depth] and required == 0:
                continue  # no sample would survive: the plan that ends here is the same, with fewer partitions
            if not shared and exits == exits_before[depth]:
                continue  # no more samples exit than at the threshold below: the same plans, at a higher threshold
            exits_before[depth] = exits
            child = depth + 1
            exit_share[depth] = exits / samples
            stay = (survivors[depth] - exits) / samples
            exited, onward = (0.0, 1.0) if percent > 0 else (exit_share[depth], stay)
            quickest = np.inf
            for b in range(m):
                reach[child, b] = np.inf
                for a in range(m):
                    if joins[a, b]:
                        total = run[depth, a] + exited * result[0, a] + onward * send[0, a, b, q]
                        reach[child, b] = min(reach[child, b], total)
                if least[q, b] < np.inf:
                    quickest = min(quickest, reach[child, b] + onward * least[q, b])
            if percent > 0 and quickest < np.inf:
                exit_share[child], exit_latency[child] = stay, quickest
                quickest = quantile(exit_share, exit_latency, child + 1, percent)
            if quickest == np.inf or quickest > limits[0] or covered(points, count, quickest, most[depth], goal):
                continue
            right_now, hopeful = tally(remaining[depth], exiting, right[q], later[q])
            most[child] = (correct[depth] + right_now + hopeful) / samples
            if most[child] < floor or covered(points, count, quickest, most[child], goal):
                continue
            remaining[child] = remaining[depth] & ~exiting
            if len(class_sets):
                answered[child] = answered[depth] | (remaining[depth] & exiting & right[q])
                good = answered[child] | (remaining[child] & later[q])
                if too_few(good, class_sets, least_right, class_weight, least_weight):
                    continue
            survivors[child] = survivors[depth] - exits
            correct[child] = correct[depth] + right_now
            end[child + 1], level[child], last[child] = q, 0, 0
            depth = child
    return points[:count], rows[:count], np.inf, -np.inf


KERNELS = (
    covered, latency_to_beat, row_before, insert, population, overlap, tally, too_few, quantile, place, finish,
    search_replay,
)  # fmt: skip
# What stands in for a kernel where numba compiles them.
COMPILED_AS: dict[str, Callable[..., Any]] = {"overlap": overlap_compiled, "tally": tally_compiled}
