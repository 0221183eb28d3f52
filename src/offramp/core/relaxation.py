"""Why no plan meets a requirement, and what it would take."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from offramp.core.estimate import EstimatedPlan
from offramp.core.planner import Planner
from offramp.core.requirement import Requirement
from offramp.core.search_result import unbeaten


@dataclass(frozen=True, slots=True)
class Relaxation:
    """A smallest set of demands that, given up together, leaves the others within reach: a minimal correction set.

    given_up: their names: min_accuracy, max_latency or a field of `Constraints`.
    plan: the plan that then is nearest: the most accurate where the floor was given up, else the fastest that keeps
        to the floor.
    """

    given_up: tuple[str, ...]
    plan: EstimatedPlan


def minimal_relaxations(planners: Sequence[Planner], requirement: Requirement) -> tuple[Relaxation, ...]:
    """What could be given up so that a plan meets the rest; empty where a plan meets all of it.

    planners: at least one, on one topology, each with a codec of its own; a plan of any of them will do.
    Each relaxation breaks every conflict there is. Sets are tried by size, and only the smallest that work are
    returned, so this plans at most once per planner and set of that size.
    """
    if any(planner.best(requirement).best is not None for planner in planners):
        return ()
    stated = (*_stated(requirement), *requirement.constraints.stated)
    for size in range(1, len(stated) + 1):
        relaxations = [
            Relaxation(names, plan)
            for names in itertools.combinations(stated, size)
            if (plan := _best_without(planners, requirement, names)) is not None
        ]
        if relaxations:
            return tuple(relaxations)
    return ()


def _stated(requirement: Requirement) -> list[str]:
    stated = {"min_accuracy": requirement.min_accuracy, "max_latency": requirement.max_latency_s}
    return [name for name, value in stated.items() if value is not None]


def _best_without(planners: Sequence[Planner], requirement: Requirement, names: Sequence[str]) -> EstimatedPlan | None:
    constraints = requirement.constraints
    for name in names:
        if name not in ("min_accuracy", "max_latency"):
            constraints = constraints.without(name)
    relaxed = replace(
        requirement,
        min_accuracy=None if "min_accuracy" in names else requirement.min_accuracy,
        max_latency_s=None if "max_latency" in names else requirement.max_latency_s,
        constraints=constraints,
        certify=False,
        confidence=None,
    )
    if relaxed.has_goal:
        plans = [answer.best for planner in planners if (answer := planner.best(relaxed)).best is not None]
        return min(plans, key=lambda plan: relaxed.rank(plan.estimate, met=True), default=None)
    latency, most_accurate = relaxed.latency, "min_accuracy" in names
    merged = [plan for planner in planners for plan in planner.frontier(relaxed)]
    members = unbeaten(sorted(merged, key=lambda plan: latency.of(plan.estimate)), latency)
    if not members:
        return None
    return members[-1] if most_accurate else members[0]
