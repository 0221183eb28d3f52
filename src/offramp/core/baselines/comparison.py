"""What the systems' choices are worth by the full model, beside Offramp's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from offramp.core.baselines.case import Case, Choice
from offramp.core.baselines.systems import SYSTEMS
from offramp.core.estimate import Estimate, PricedPlan, terms
from offramp.core.plan import Plan
from offramp.core.planner import TOLERANCE, Planner, Requirement, choose
from offramp.core.profile import Profile
from offramp.core.topology import Topology


@dataclass(frozen=True, slots=True)
class Row:
    """A system's choice as the full model sees it.

    system: its name.
    plan: the choice in the text form of a plan, without a threshold where the system has no exits.
    estimate: accuracy and latency by the full model.
    meets: whether that meets the requirement.
    gain: by how much of the row's latency Offramp is faster, at an accuracy no lower than the row's; negative where
        Offramp is slower, None where it has no plan so accurate.
    ignores: what the system's own model leaves out.
    note: what sets this plan apart from those Offramp can choose; empty where nothing does.
    """

    system: str
    plan: str
    estimate: Estimate
    meets: bool
    gain: float | None
    ignores: str = ""
    note: str = ""


def compare(profile: Profile, planner: Planner, requirement: Requirement) -> tuple[Row, ...]:
    """What published systems would choose for the requirement, and last what Offramp does.

    planner: made of that profile; its exit model and its costs are the full model that judges everyone.
    Each system chooses in its own space by its own model (`offramp.core.baselines.systems`), so its choice may miss
    the requirement. Where no choice meets it by the system's own model, the nearest stands, as in `Planner.best`.
    """
    case = Case.of(profile, planner, requirement)
    frontier = planner.frontier()
    rows = []
    for system in SYSTEMS:
        if len(case.tiers) < system.fewest_tiers:
            continue
        choice = system.choose(case)
        judged = judge(case, choice)
        rows.append(
            Row(
                system=system.name,
                plan=text(choice, planner.topology),
                estimate=judged,
                meets=meets(requirement, judged),
                gain=gain(frontier, judged),
                ignores=system.ignores,
                note=_note(case, choice),
            )
        )
    answer = choose(frontier, requirement)
    ours = answer.best or answer.nearest
    assert ours is not None
    rows.append(Row("Offramp", str(ours.plan), ours.estimate, answer.best is not None, gain(frontier, ours.estimate)))
    return tuple(rows)


def judge(case: Case, choice: Choice) -> Estimate:
    """What a choice achieves by the full model; where nobody leaves at a cut, the branch there takes no time."""
    return terms(choice.ends, list(choice.tiers), case.leaving(choice), case.costs(choice))


def meets(requirement: Requirement, estimate: Estimate) -> bool:
    """Whether an estimate meets the requirement, as `Requirement.met_by` says of a plan."""
    return estimate.accuracy >= requirement.floor and estimate.latency_s <= requirement.limit


def gain(frontier: Sequence[PricedPlan], estimate: Estimate) -> float | None:
    """Share of that latency which the fastest plan of the frontier, no less accurate, saves; None without one."""
    least = min(
        (each.estimate.latency_s for each in frontier if each.estimate.accuracy >= estimate.accuracy - TOLERANCE),
        default=math.inf,
    )
    if math.isinf(least) or estimate.latency_s <= 0:
        return None
    return 1 - least / estimate.latency_s


def text(choice: Choice, topology: Topology) -> str:
    """The choice in the text form of a plan, without a threshold where nobody leaves before the last partition."""
    names = tuple(topology.tiers[j].name for j in choice.tiers)
    plan = Plan(choice.ends, names, (choice.threshold or 0.0,) * (len(names) - 1))
    return str(plan) if choice.has_exits else str(plan).partition(" T=")[0]


def _note(case: Case, choice: Choice) -> str:
    if len(set(choice.tiers)) < len(choice.tiers):
        return "several exits on one tier"
    if choice.has_exits or len(choice.ends) == 1:
        return ""
    timed = all(case.branches_timed[j] for j in choice.tiers[:-1])
    return "no exits" if timed else "no exits; the time of the branch at the cut is not known and counts"
