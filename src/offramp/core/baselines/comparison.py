"""What the systems' choices are worth by the full model, beside Offramp's."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from offramp.core.baselines.case import Case, Choice
from offramp.core.baselines.systems import SYSTEMS
from offramp.core.codec import InputCodec
from offramp.core.estimate import Estimate, EstimatedPlan, terms
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.profile import Profile
from offramp.core.requirement import TOLERANCE, Requirement
from offramp.core.search_result import choose
from offramp.core.topology import Topology
from offramp.errors import fail


@dataclass(frozen=True, slots=True)
class ComparedSystem:
    """A system's choice as the full model sees it.

    system: its name.
    plan: the choice in the text form of a plan, without a threshold where the system has no exits.
    estimate: by the full model.
    latency_s: the latency that the requirement means, of that estimate.
    meets: whether that meets the requirement.
    gain: by how much of the row's latency Offramp is faster, at an accuracy no lower than the row's; negative where
        Offramp is slower, None where it has no plan so accurate.
    ignores: what the system's own model leaves out.
    note: what sets this plan apart from those Offramp can choose; empty where nothing does.
    """

    system: str
    plan: str
    estimate: Estimate
    latency_s: float
    meets: bool
    gain: float | None
    ignores: str = ""
    note: str = ""


def compare(profile: Profile, planner: Planner, requirement: Requirement) -> tuple[ComparedSystem, ...]:
    """What published systems would choose for the requirement, and last what Offramp does.

    planner: made of that profile; its exit model and its costs are the full model that judges everyone.
    requirement: its constraints are Offramp's alone. Where they allow no plan, Offramp has no row.
    Each system chooses in its own space by its own model (`offramp.core.baselines.systems`), so its choice may miss
    the requirement; all of them know mean latency alone. Where no choice meets it by the system's own model, the
    nearest stands, as in `Planner.best`.
    """
    if floor := requirement.constraints.floor_by_class:
        fail(floor, "published systems know nothing of classes", "compare with min_accuracy or max_latency")
    case = Case.of(profile, planner, requirement)
    frontier = planner.frontier(requirement)
    rows = []
    for system in SYSTEMS:
        if len(case.tiers) < system.fewest_tiers:
            continue
        choice = system.choose(case)
        estimate = judge(case, choice)
        first = choice.tiers[0]
        sent_as = InputCodec.RAW if first == planner.costs.source else planner.sent_as[first]
        row = _judged(system.name, text(choice, planner.topology, sent_as), estimate, requirement, frontier)
        rows.append(replace(row, ignores=system.ignores, note=_note(case, choice)))
    answer = choose(frontier, requirement)
    ours = answer.best or answer.nearest
    if ours is not None:
        rows.append(_judged("Offramp", str(ours.plan), ours.estimate, requirement, frontier))
    return tuple(rows)


def judge(case: Case, choice: Choice) -> Estimate:
    """What a choice achieves by the full model; where no sample exits at a cut, the branch there takes no time."""
    return terms(choice.ends, list(choice.tiers), case.rates(choice), case.costs(choice))


def _judged(
    system: str, plan: str, estimate: Estimate, requirement: Requirement, frontier: Sequence[EstimatedPlan]
) -> ComparedSystem:
    latency = requirement.latency
    latency_s = latency.of(estimate)
    least = min(
        (latency.of(plan.estimate) for plan in frontier if plan.estimate.accuracy >= estimate.accuracy - TOLERANCE),
        default=None,
    )
    return ComparedSystem(
        system=system,
        plan=plan,
        estimate=estimate,
        latency_s=latency_s,
        meets=requirement.met_by(estimate),
        gain=None if least is None or latency_s <= 0 else 1 - least / latency_s,
    )


def text(choice: Choice, topology: Topology, sent_as: InputCodec = InputCodec.RAW) -> str:
    """The choice in the text form of a plan, without a threshold where no sample exits before the last partition."""
    names = tuple(topology.tiers[j].name for j in choice.tiers)
    plan = Plan(choice.ends, names, (choice.threshold or 0.0,) * (len(names) - 1), input_codec=sent_as)
    return str(plan) if choice.has_exits else re.sub(r" T=\S+", "", str(plan))


def _note(case: Case, choice: Choice) -> str:
    if len(set(choice.tiers)) < len(choice.tiers):
        return "several exits on one tier"
    if choice.has_exits or len(choice.ends) == 1:
        return ""
    timed = all(case.branches_timed[j] for j in choice.tiers[:-1])
    return "no exits" if timed else "no exits; the time of the branch at the cut is not known and counts"
