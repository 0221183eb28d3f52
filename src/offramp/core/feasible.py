"""Whether one given plan is among those that are allowed; a search never looks at the others."""

import itertools

from offramp.core.estimate import EstimatedPlan
from offramp.core.planner import Planner


def allowed(planner: Planner, estimated: EstimatedPlan) -> bool:
    """Whether the options allow a plan that the planner has estimated; its thresholds may be any."""
    plan, options, left = estimated.plan, planner.options, planner.allowed
    stay, leave = estimated.estimate.stay_rates, estimated.estimate.exit_rates
    tiers = [planner.topology.index(name) for name in plan.placement]
    firsts = (0, *plan.ends[:-1])
    if len(set(plan.thresholds)) > 1 and not options.threshold_per_exit:
        return False
    for tier, run in itertools.groupby(range(len(tiers)), key=lambda k: tiers[k]):
        held = list(run)
        # What a tier holds counts together: its memory is for all of its partitions.
        if len(held) > options.exits_per_tier or not left.fits[tier, firsts[held[0]], plan.ends[held[-1]]]:
            return False
    if left.required & ~sum(1 << tier for tier in set(tiers)):
        return False
    source, destination = planner.costs.source, planner.costs.destination
    used = left.send[:, source, tiers[0], 0].copy()
    for k, (tier, first, last) in enumerate(zip(tiers, firsts, plan.ends, strict=True)):
        arrive = stay[k - 1] if k else 1.0
        used += arrive * left.compute[:, tier, first, last] + leave[k] * left.send[:, tier, destination, -1]
        if k + 1 < len(tiers):
            used += stay[k] * left.send[:, tier, tiers[k + 1], last]
    return bool((used <= left.limits).all())
