"""Whether one given plan is among those that are allowed; a search never looks at the others."""

import itertools

from offramp.core.class_floors import meets_class_floors
from offramp.core.constraints import Constraints
from offramp.core.estimate import EstimatedPlan
from offramp.core.exits import Replay
from offramp.core.planner import Planner


def is_feasible(planner: Planner, estimated: EstimatedPlan, constraints: Constraints) -> bool:
    """Whether the constraints allow a plan that the planner has estimated; its thresholds may be any.

    Raises `InputError` where the constraints don't go with the planner's profile and topology.
    """
    plan, space = estimated.plan, planner.allowed(constraints)
    stay_rates, exit_rates = estimated.estimate.stay_rates, estimated.estimate.exit_rates
    tiers = [planner.topology.index(name) for name in plan.placement]
    firsts = (0, *plan.ends[:-1])
    if isinstance(planner.exits, Replay) and not meets_class_floors(planner.exits, plan, constraints):
        return False
    if len(set(plan.thresholds)) > 1 and not constraints.threshold_per_exit:
        return False
    route = space.places.route(tiers)
    for place, run in itertools.groupby(range(len(tiers)), key=lambda k: route[k]):
        partitions = list(run)
        # What a tier holds counts together: its memory is for all of its partitions.
        whole_fits = space.fits[place, firsts[partitions[0]], plan.ends[partitions[-1]]]
        if len(partitions) > constraints.exits_per_tier or not whole_fits:
            return False
    if space.required & ~sum(1 << tier for tier in set(tiers)):
        return False
    used = space.start[:, route[0]].copy()
    for k, (place, first, last) in enumerate(zip(route, firsts, plan.ends, strict=True)):
        arriving = stay_rates[k - 1] if k else 1.0
        used += arriving * space.compute[:, place, first, last] + exit_rates[k] * space.result[:, place]
        if k + 1 < len(tiers):
            used += stay_rates[k] * space.send[:, place, route[k + 1], last]
    return bool((used <= space.limits).all())
