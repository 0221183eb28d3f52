"""Exact search where samples are replayed from the exit table.

Who is left after an exit depends on every exit before it, so costs don't add up over states. But accuracy and exit
rates don't depend on the placement at all. So the search walks, depth first, over the exits alone (block and
threshold of each), carrying the surviving samples as a bit set and, for each tier, the least latency of getting there
with tiers used freely; only where that bound would make the frontier is the best placement found. A walk stops where

- the survivors' cheapest way home, tiers used freely, is too slow (bound on latency), or
- all survivors whom some later branch gets right would not make it accurate enough (bound on accuracy),

to be past the plans already found.

The functions are search kernels: plain Python on arrays that `offramp.core.compiling` can compile. Axes: K thresholds,
N blocks, M tiers, W words of 64 samples; p and q are blocks, 0 is the input; a and b are tiers.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.core.checks import FloatArray, IntArray
from offramp.core.pareto import covered, insert, latency_to_beat, row_before

WordArray = NDArray[np.uint64]


def tally(here: WordArray, leaves: WordArray, right: WordArray, later: WordArray) -> tuple[int, int, int]:
    """Count, among the samples `here` [W], those in `leaves`; those also in `right`; and those not, but in `later`."""
    leaving = here & leaves
    hopeful = here & ~leaves & later
    going, right_going = np.bitwise_count(leaving).sum(), np.bitwise_count(leaving & right).sum()
    return int(going), int(right_going), int(np.bitwise_count(hopeful).sum())


def population(word: Any) -> Any:
    """How many bits of a 64-bit word are set (Warren, Hacker's Delight, figure 5-2); compilers know it by its shape."""
    x = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


def tally_compiled(here: WordArray, leaves: WordArray, right: WordArray, later: WordArray) -> Any:
    """`tally` without temporaries, and without `np.bitwise_count`, which numba lacks."""
    going, right_going, hopeful = np.uint64(0), np.uint64(0), np.uint64(0)
    for w in range(len(here)):
        leaving = here[w] & leaves[w]
        going += population(leaving)
        right_going += population(leaving & right[w])
        hopeful += population(here[w] & ~leaves[w] & later[w])
    return np.int64(going), np.int64(right_going), np.int64(hopeful)


def place(
    row: IntArray,
    arrive: FloatArray,
    leave: FloatArray,
    compute: FloatArray,
    send: FloatArray,
    result: FloatArray,
    start: FloatArray,
    ceiling: float,
) -> float:
    """Find the fastest placement for the ends in `row`, write it there, and return its latency.

    arrive, leave: [>= L] share of samples that get to, and leave at, each partition.
    ceiling: slower placements are of no use; infinity is returned where there are only those.
    Of equally fast placements the one nearest the device. Depth first over at most M!/(M-L)! placements.
    """
    m, partitions = len(start), row[0]
    spent = np.zeros(m + 1)
    trial = np.full(m + 1, -1, np.int64)
    best, used, k = np.inf, 0, 0
    while k >= 0:
        if trial[k] >= 0:
            used &= ~(1 << trial[k])
        trial[k] += 1
        while trial[k] < m and (used >> trial[k]) & 1:
            trial[k] += 1
        if trial[k] == m:
            trial[k] = -1
            k -= 1
            continue
        b = trial[k]
        p = 0 if k == 0 else row[k]
        total = spent[k] + (start[b] if k == 0 else arrive[k] * send[trial[k - 1], b, p])
        total += arrive[k] * compute[b, p, row[1 + k]] + leave[k] * result[b]
        used |= 1 << b
        if total >= best or total > ceiling:
            continue
        if k == partitions - 1:
            best = total
            row[1 + m : 1 + m + partitions] = trial[:partitions]
        else:
            k += 1
            spent[k] = total
    return float(best)


def finish(compute: FloatArray, result: FloatArray) -> FloatArray:
    """[N+1, M] least latency of one sample that has block p's output on tier b, about to run block p+1 there."""
    n, m = compute.shape[1] - 1, compute.shape[0]
    least = np.full((n + 1, m), np.inf)
    for p in range(n):
        for b in range(m):
            least[p, b] = np.min(compute[b, p, p + 1 :]) + result[b]
    return least


def search_replay(
    leaves: WordArray,
    right: WordArray,
    later: WordArray,
    everyone: WordArray,
    samples: int,
    one_threshold: bool,
    compute: FloatArray,
    send: FloatArray,
    result: FloatArray,
    start: FloatArray,
    floor: float,
    limit: float,
    goal: int,
) -> tuple[FloatArray, IntArray]:
    """Find the plans that `goal` asks for among those at least as accurate as `floor` and as fast as `limit`.

    leaves: [K, N+1, W] samples whose entropy at the branch after block q is at or below the threshold.
    right: [N+1, W] samples the branch after block q gets right.
    later: [N+1, W] samples that some branch after block q's own gets right.
    everyone: [W] all samples, of which there are `samples`.
    one_threshold: all exits of a plan share one threshold; else each has its own.
    compute, send, result, start: as in `search_additive`.
    Returns points [n, 2] and rows [n, 3M+1] as in `offramp.core.pareto`.
    """
    levels, n, m = leaves.shape[0], compute.shape[1] - 1, compute.shape[0]
    # Members differ in accuracy, and accuracy is a count of samples.
    points, rows, count = np.empty((samples + 2, 2)), np.zeros((samples + 2, 3 * m + 1), np.int64), 0
    row = np.zeros(3 * m + 1, np.int64)
    least = finish(compute, result)

    # One entry per depth of the walk, that is, per exit chosen so far.
    here = np.zeros((m + 1, len(everyone)), np.uint64)  # the samples that got past those exits,
    survivors = np.zeros(m + 1, np.int64)  # their number,
    correct = np.zeros(m + 1, np.int64)  # and how many have left with the right answer
    there = np.zeros((m + 1, m))  # least latency with the survivors' activations on tier b
    run = np.zeros((m + 1, m))  # the same after running the block now tried as an end
    arrive, leave = np.zeros(m + 1), np.zeros(m + 1)
    end = np.zeros(m + 2, np.int64)  # the block being tried as an end; level and stop: the thresholds to try there
    level, stop = np.zeros(m + 1, np.int64), np.zeros(m + 1, np.int64)

    here[0], survivors[0], there[0] = everyone, samples, start
    depth = 0
    while depth >= 0:
        if level[depth] == stop[depth]:  # the next end; first let all survivors leave there
            end[depth + 1] += 1
            p, q = end[depth], end[depth + 1]
            if q > n:
                depth -= 1
                continue
            arrive[depth] = leave[depth] = survivors[depth] / samples
            total = np.inf
            for b in range(m):
                run[depth, b] = there[depth, b] + arrive[depth] * compute[b, p, q]
                total = min(total, run[depth, b] + arrive[depth] * result[b])
            _, right_now, _ = tally(here[depth], everyone, right[q], later[q])
            accuracy = (correct[depth] + right_now) / samples
            if total <= limit and accuracy >= floor and not covered(points, count, total, accuracy, goal):
                row[:] = 0
                row[0] = depth + 1
                row[1 : depth + 2] = end[1 : depth + 2]
                row[1 + 2 * m : 1 + 2 * m + depth] = level[:depth] - 1
                ceiling = min(limit, latency_to_beat(points, count, accuracy, goal))
                total = place(row, arrive, leave, compute, send, result, start, ceiling)
                if total <= ceiling and not covered(points, count, total, accuracy, goal):
                    count = insert(points, rows, count, total, accuracy, row, goal)
            if q == n or depth + 1 == m:
                level[depth], stop[depth] = 0, 0
            elif one_threshold and depth > 0:
                level[depth], stop[depth] = level[0] - 1, level[0]
            else:
                level[depth], stop[depth] = 0, levels
            continue

        q = end[depth + 1]
        gone = leaves[level[depth], q]
        level[depth] += 1
        going, right_now, hopeful = tally(here[depth], gone, right[q], later[q])
        if going == survivors[depth]:
            continue  # nobody would be left: the plan that ends here is the same, with fewer partitions
        most = (correct[depth] + right_now + hopeful) / samples
        if most < floor:
            continue
        child = depth + 1
        leave[depth] = going / samples
        stay = (survivors[depth] - going) / samples
        quickest = np.inf
        for b in range(m):
            there[child, b] = np.inf
            for a in range(m):
                if a != b:
                    total = run[depth, a] + leave[depth] * result[a] + stay * send[a, b, q]
                    there[child, b] = min(there[child, b], total)
            quickest = min(quickest, there[child, b] + stay * least[q, b])
        if quickest > limit or covered(points, count, quickest, most, goal):
            continue
        here[child] = here[depth] & ~gone
        survivors[child] = survivors[depth] - going
        correct[child] = correct[depth] + right_now
        end[child + 1], level[child], stop[child] = q, 0, 0
        depth = child
    return points[:count], rows[:count]


KERNELS = (covered, latency_to_beat, row_before, insert, population, tally, place, finish, search_replay)
# What stands in for a kernel where numba compiles them.
COMPILED_AS = {"tally": tally_compiled}
