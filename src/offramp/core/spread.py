"""How far a plan's mean latency strays from one run to the next."""

import math

from offramp.core.estimate import EstimatedPlan
from offramp.core.profile import Profile
from offramp.core.topology import Topology


def spread_s(estimated: EstimatedPlan, *, profile: Profile, topology: Topology) -> float | None:
    """Standard deviation of a plan's mean latency over runs, in seconds, from the spread of its compute times.

    Every block and branch takes one time per run, the same for all samples, drawn independently of the others with
    the standard deviation measured on its device; all else is fixed. The mean latency is a sum in which that time
    counts with the share of samples that reach it, so with the slowdowns R

        variance = sum_k ( (S_k + E_k) R_{A_k} )^2 ( var CB_{P_k} + sum_{i=P_{k-1}+1..P_k} var CK_i )

    Where compute() is of whole partitions it is the spread of their blocks that counts.
    Returns None where a device that the plan uses has no spread.
    """
    arrive = (1.0, *estimated.estimate.stay_rates[:-1])
    variance = 0.0
    for share, name, (first, last) in zip(arrive, estimated.plan.placement, estimated.plan.blocks, strict=True):
        tier = topology.tiers[topology.index(name)]
        device = tier.device or profile.reference_device
        timing = None if device is None else profile.timings.get(device)
        if timing is None or timing.block_spread_s is None or timing.branch_spread_s is None:
            return None
        weight = share * (1.0 if tier.slowdown is None else tier.slowdown)
        spreads = (*timing.block_spread_s[first - 1 : last], timing.branch_spread_s[last - 1])
        variance += sum((weight * float(spread)) ** 2 for spread in spreads)
    return math.sqrt(variance)
