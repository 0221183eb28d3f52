"""Why no plan meets a requirement, and what it would take."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from offramp.core.checks import BoolArray
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


def minimal_relaxations(
    planners: Sequence[Planner], requirement: Requirement, stop: BoolArray | None = None
) -> tuple[Relaxation, ...]:
    """What could be given up so that a plan meets the rest; empty where a plan meets all of it.

    planners: at least one, on one topology, each with a codec of its own; a plan of any of them will do.
    stop: as for `Planner.best`. Where it becomes true, what was found by then is returned: each of it helps and is of
        the smallest size that does, but others of that size may be missing, and a better plan for the last.
    Each relaxation breaks every conflict there is. Sets are tried by size, and only the smallest that work are
    returned, so this plans at most once per planner and set of that size.
    """
    answers = [planner.meeting(requirement, stop) for planner in planners]
    if any(answer.best is not None or answer.gap is not None for answer in answers):
        return ()
    stated = (*_stated(requirement), *requirement.constraints.stated)
    for size in range(1, len(stated) + 1):
        relaxations = []
        for names in itertools.combinations(stated, size):
            plan, ended = _best_without(planners, requirement, names, stop)
            if plan is not None:
                relaxations.append(Relaxation(names, plan))
            elif ended:
                # Nothing is known of these, so nothing larger could be called smallest.
                return tuple(relaxations)
        if relaxations:
            return tuple(relaxations)
    return ()


def _stated(requirement: Requirement) -> list[str]:
    stated = {"min_accuracy": requirement.min_accuracy, "max_latency": requirement.max_latency_s}
    return [name for name, value in stated.items() if value is not None]


def _best_without(
    planners: Sequence[Planner], requirement: Requirement, names: Sequence[str], stop: BoolArray | None = None
) -> tuple[EstimatedPlan | None, bool]:
    """The plan that is nearest where those demands are given up, and whether the search for it was ended early."""
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
        answers = [planner.meeting(relaxed, stop) for planner in planners]
        plans = [answer.best for answer in answers if answer.best is not None]
        best = min(plans, key=lambda plan: relaxed.rank(plan.estimate, met=True), default=None)
        return best, any(answer.gap is not None for answer in answers)
    most_accurate = "min_accuracy" in names
    searched = [planner.frontier_within(relaxed, stop) for planner in planners]
    merged = [plan for plans, _ in searched for plan in plans]
    members = unbeaten(sorted(merged, key=lambda plan: relaxed.cost(plan.estimate)), relaxed)
    ended = any(gap is not None for _, gap in searched)
    if not members:
        return None, ended
    return (members[-1] if most_accurate else members[0]), ended
