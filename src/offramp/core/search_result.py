"""What a search found, and which of several plans is the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offramp.core.estimate import EstimatedPlan
from offramp.core.pareto import nondominated
from offramp.core.requirement import Requirement


@dataclass(frozen=True, slots=True)
class Gap:
    """What a search that was ended early has not looked at.

    latency_s: no such plan is faster; 0 where energy was to be least, and nothing is known of latency.
    accuracy: no such plan is more accurate.
    energy_j: no such plan takes less; None where latency was to be least.
    """

    latency_s: float
    accuracy: float
    energy_j: float | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    best: the optimal plan; None where no plan meets the requirement.
    nearest: where none does, the plan that comes nearest: the most accurate one if the floor is out of reach, else
        the fastest that keeps to the floor. None where not even the constraints can be met.
    gap: where the search was ended early, what is proven all the same; None where the answer is final.
    """

    best: EstimatedPlan | None
    nearest: EstimatedPlan | None = None
    gap: Gap | None = None


def unbeaten(plans: Sequence[EstimatedPlan], requirement: Requirement) -> tuple[EstimatedPlan, ...]:
    """Those that no other beats in both accuracy and what is to be least, in order; of equal ones the first."""
    if len(plans) < 2:
        return tuple(plans)
    costs = np.array([requirement.cost(plan.estimate) for plan in plans])
    keep = nondominated(costs, np.array([plan.estimate.accuracy for plan in plans]))
    return tuple(plan for plan, kept in zip(plans, keep, strict=True) if kept)


def choose(frontier: Sequence[EstimatedPlan], requirement: Requirement) -> SearchResult:
    """What `Planner.best` answers, read off the whole frontier of what the requirement wants least, that first."""
    requirement.check_goal()
    meeting = [plan for plan in frontier if requirement.met_by(plan.estimate)]
    if meeting:
        return SearchResult(best=meeting[0] if requirement.wants_least else meeting[-1])
    accurate = [plan for plan in frontier if plan.estimate.accuracy >= requirement.floor]
    return SearchResult(best=None, nearest=next(iter([*accurate, *reversed(frontier)]), None))
