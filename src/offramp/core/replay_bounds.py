"""The least latency of all plans that begin alike, tiers used freely, for the replay search.

The functions are search kernels: plain Python on arrays that `offramp.core.compiling` can compile. Axes: N blocks, M
tiers, D exits chosen; p and q are blocks, 0 is the input; a and b are tiers.
"""

import numpy as np

from offramp.core.checks import BoolArray, FloatArray
from offramp.core.placement import quantile


def finish(
    compute: FloatArray, send: FloatArray, result: FloatArray, fits: BoolArray, joins: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Least latency of one sample, [N+1, M] each: about to run block p+1 on tier b; and having run block q there.

    It may exit there or continue on other tiers, used freely: where results are large and activations small, the way
    to the destination by another tier can be the cheaper one.
    """
    m, n = compute.shape[1], compute.shape[2] - 1
    least = np.full((n + 1, m), np.inf)
    after = np.full((n + 1, m), np.inf)
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
    return least, after


def run_there(
    run: FloatArray,
    reach: FloatArray,
    weight: float,
    compute: FloatArray,
    result: FloatArray,
    fits: BoolArray,
    p: int,
    q: int,
) -> float:
    """Write into `run` [M] the latency of having run blocks p+1..q on each tier; return the least with results sent.

    reach: [M] latency of having block p's output on that tier; weight: the share of samples whose latency it is.
    """
    least = np.inf
    for b in range(len(run)):
        run[b] = np.inf
        if fits[b, p, q]:
            run[b] = reach[b] + weight * compute[0, b, p, q]
            least = min(least, run[b] + weight * result[0, b])
    return float(least)


def go_on(
    depth: int,
    q: int,
    exited: float,
    stay: float,
    percent: float,
    joins: BoolArray,
    run: FloatArray,
    reach: FloatArray,
    exit_share: FloatArray,
    exit_latency: FloatArray,
    least: FloatArray,
    send: FloatArray,
    result: FloatArray,
) -> float:
    """Write into `reach` where an exit after block q leads, and return the least latency of all plans from there.

    exited, stay: share of all samples that exit there, and that go on.
    """
    child, m, quickest = depth + 1, reach.shape[1], np.inf
    home, onward = exited, stay
    if percent > 0:
        home, onward = 0.0, 1.0
    exit_share[depth] = exited
    for b in range(m):
        reach[child, b] = np.inf
        for a in range(m):
            if joins[a, b]:
                total = run[depth, a] + home * result[0, a] + onward * send[0, a, b, q]
                reach[child, b] = min(reach[child, b], total)
        if least[q, b] < np.inf:
            quickest = min(quickest, reach[child, b] + onward * least[q, b])
    if percent > 0 and quickest < np.inf:
        exit_share[child], exit_latency[child] = stay, quickest
        quickest = quantile(exit_share, exit_latency, child + 1, percent)
    return float(quickest)


def from_end(
    depth: int,
    first: int,
    stay: float,
    percent: float,
    p: int,
    reach: FloatArray,
    exit_share: FloatArray,
    exit_latency: FloatArray,
    compute: FloatArray,
    fits: BoolArray,
    after: FloatArray,
) -> float:
    """The least latency of all plans whose next end is block `first` or a later one; arguments as in `go_on`."""
    onward = 1.0 if percent > 0 else stay
    quickest = np.inf
    for b in range(reach.shape[1]):
        for q in range(first, compute.shape[2]):
            if fits[b, p, q]:
                quickest = min(quickest, reach[depth, b] + onward * (compute[0, b, p, q] + after[q, b]))
    if percent > 0 and quickest < np.inf:
        exit_share[depth], exit_latency[depth] = stay, quickest
        quickest = quantile(exit_share, exit_latency, depth + 1, percent)
    return float(quickest)
