"""Exact search where samples are replayed from the exit table.

Which samples survive an exit depends on every exit before it, so costs don't add up over states. But accuracy and exit
rates don't depend on the placement at all. So the search walks, depth first, over the exits alone (block and
threshold of each), carrying the surviving samples as a bit set and, for each tier, the least latency of reaching it
with tiers used freely; only where that bound would make the frontier is the best placement found. A walk stops where

- the survivors' cheapest way to their results, tiers used freely, is too slow (bound on latency), or
- all survivors whom some later branch gets right would not make it accurate enough (bound on accuracy),

to be past the plans already found; or where all those would be too few of some class, or of all classes weighted.

First exits are walked through in the order of their bounds, so that the bound on all that is left gets better with
time; a walk that is stopped returns the best that any exit not yet tried could lead to.

The functions are search kernels: plain Python on arrays that `offramp.core.compiling` can compile. Axes: K thresholds,
N blocks, M tiers, W words of 64 samples; p and q are blocks, 0 is the input; a and b are tiers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from offramp.core.checks import BoolArray, FloatArray, IntArray, WordArray
from offramp.core.pareto import MOST_ACCURACY, covered, insert, latency_to_beat, less, row_before
from offramp.core.placement import missing, place, quantile
from offramp.core.replay_bounds import finish, from_end, go_on, run_there
from offramp.core.sample_sets import overlap, overlap_compiled, population, tally, tally_compiled, too_few


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
    least, after = finish(compute, send, result, fits, joins)

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
    # First exits, the most promising first: end, threshold, and whether a lower one does the same; the least latency
    # and the most accuracy of plans that begin so; how many there are, and how many of them were walked through.
    firsts, first_bounds = np.zeros((n * levels, 3), np.int64), np.zeros((n * levels, 2))
    born, walked = 0, 0
    lookahead = (run, reach, exit_share, exit_latency, least, send, result)
    opening = True  # until all plans of one partition were tried: some plan to hand back, whenever this is stopped
    interrupted = False
    # With a threshold per exit, first try one for all: a quick walk whose finds cut the long one short.
    walks = 1 if one_threshold else 2
    for walk in range(walks):
        shared, depth, walked = walk == 0, 0, 0
        while depth >= 0:
            if stop[0] and not opening:
                fastest, surest = np.inf, -np.inf
                for i in range(0 if walk + 1 < walks else walked, born):
                    if not covered(points, count, first_bounds[i, 0], first_bounds[i, 1], goal):
                        fastest, surest = min(fastest, first_bounds[i, 0]), max(surest, first_bounds[i, 1])
                for d in range(depth, 0, -1):
                    here = level[d] < last[d] or (interrupted and d == depth)
                    p, q = end[d], end[d + 1] + (0 if here else 1)
                    if q > n:
                        continue
                    hopeful = (correct[d] + overlap(remaining[d], later[q - 1])) / samples
                    costs = (compute, fits, after)
                    quickest = from_end(
                        d, q, survivors[d] / samples, percent, p, reach, exit_share, exit_latency, *costs
                    )
                    if hopeful < floor or quickest > limits[0] or quickest == np.inf:
                        continue
                    if not covered(points, count, quickest, hopeful, goal):
                        fastest, surest = min(fastest, quickest), max(surest, hopeful)
                return points[:count], rows[:count], fastest, surest
            if level[depth] == last[depth] and depth == 0 and not opening:
                if walked == born:
                    break
                walked += 1
                if not shared and firsts[walked - 1, 2]:
                    continue
                end[1], level[0], last[0] = firsts[walked - 1, 0], firsts[walked - 1, 1], firsts[walked - 1, 1] + 1
                exits_before[0] = -1
                exit_latency[0] = run_there(run[0], reach[0], 1.0, compute, result, fits, 0, end[1])
            elif level[depth] == last[depth]:  # the next end; first let all survivors exit there
                end[depth + 1] += 1
                p, q = end[depth], end[depth + 1]
                if q > n and depth > 0:
                    depth -= 1
                    continue
                if q > n:
                    opening = False
                    order = np.argsort(first_bounds[:born, 0], kind="mergesort")
                    if goal == MOST_ACCURACY:
                        order = np.argsort(-first_bounds[:born, 1], kind="mergesort")
                    firsts, first_bounds = firsts[order], first_bounds[order]
                    continue
                exits_before[depth] = -1
                if opening or q == n or depth + 1 == most_parts:
                    level[depth], last[depth] = 0, 0
                elif shared:
                    level[depth], last[depth] = level[0] - 1, level[0]
                else:
                    level[depth], last[depth] = 0, levels
                arrive_share[depth] = exit_share[depth] = survivors[depth] / samples
                weight = 1.0 if percent > 0 else arrive_share[depth]
                total = run_there(run[depth], reach[depth], weight, compute, result, fits, p, q)
                exit_latency[depth] = total
                if opening and q < n and most_parts > 1:  # look ahead at the plans that begin with an exit there
                    for k in range(levels):
                        exits = overlap(everyone, may_exit[k, q])
                        repeats = exits == exits_before[0]
                        exits_before[0] = exits
                        stay = (samples - exits) / samples
                        quickest = go_on(0, q, exits / samples, stay, percent, joins, *lookahead)
                        right_now, hopeful = tally(everyone, may_exit[k, q], right[q], later[q])
                        if quickest == np.inf or quickest > limits[0] or (right_now + hopeful) / samples < floor:
                            continue
                        if exits < samples or required != 0:
                            firsts[born, 0], firsts[born, 1], firsts[born, 2] = q, k, repeats
                            first_bounds[born, 0] = quickest
                            first_bounds[born, 1] = (right_now + hopeful) / samples
                            born += 1
                    exit_share[0] = 1.0
                if percent > 0:
                    total = quantile(exit_share, exit_latency, depth + 1, percent)
                if total > limits[0] or covered(points, count, total, most[depth], goal):
                    continue
                if missing(required, 0) > depth + 1:
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
                    total = place(row, arrive_share, exit_share, *space, percent, limits, ceiling, stop)
                    if total < np.inf and not covered(points, count, total, accuracy, goal):
                        count = insert(points, rows, count, total, accuracy, row, goal)
                    interrupted = depth > 0 and stop[0]
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
            stay = (survivors[depth] - exits) / samples
            quickest = go_on(depth, q, exits / samples, stay, percent, joins, *lookahead)
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
    less, covered, latency_to_beat, row_before, insert, population, overlap, tally, too_few, quantile, missing, place,
    finish, run_there, go_on, from_end, search_replay,
)  # fmt: skip
# What stands in for a kernel where numba compiles them.
COMPILED_AS: dict[str, Callable[..., Any]] = {"overlap": overlap_compiled, "tally": tally_compiled}
