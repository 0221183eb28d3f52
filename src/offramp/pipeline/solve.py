"""From what is asked to the plan: the search, what stands in where nothing is asked, and how sure the answer is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from offramp.core.estimate import EstimatedPlan, Latency
from offramp.core.pareto import nondominated
from offramp.core.planner import Gap, Planner, Requirement, SearchLimits, choose
from offramp.core.relaxation import Relaxation, minimal_relaxations
from offramp.errors import fail

if TYPE_CHECKING:
    from offramp.core.certify import Certificate
    from offramp.files import Requirements


@dataclass(frozen=True, slots=True)
class Found:
    """What planning came to.

    wanted: what was asked, or stands in where nothing was.
    shown: the best plan, or where there is none what comes nearest.
    met: whether it is what was asked for.
    members: the frontier, fastest first; empty where it was not wanted.
    ways: what could be given up where no plan meets it all.
    certificate: what held-back samples say of `shown`, where that was asked.
    gap: what is proven where the search was ended early.
    took_s: how long the search took.
    plans: how many it is proven among.
    """

    wanted: Requirement
    shown: EstimatedPlan
    met: bool
    members: tuple[EstimatedPlan, ...]
    ways: tuple[Relaxation, ...]
    certificate: Certificate | None
    gap: Gap | None
    took_s: float
    plans: int


def find(planner: Planner, asked: Requirements, limits: SearchLimits, *, frontier: bool, seed: int) -> Found:
    """The plan that is asked for; without a requirement, the fastest within a point of the best accuracy.

    frontier: whether the whole frontier is wanted.
    seed: of the halves of the exit table.
    Raises `InputError` where no plan is allowed at all, or the limits ended the search before there was one.
    """
    wanted = asked.requirement
    members: tuple[EstimatedPlan, ...] = ()
    began = time.perf_counter()
    if frontier or wanted is None:
        members, gap = planner.frontier_within(limits, Latency.MEAN if wanted is None else wanted.latency)
        wanted = wanted or default_requirement(members)
        answer = choose(members, wanted)
    else:
        answer = planner.best(wanted, limits)
        gap = answer.gap
    took_s = time.perf_counter() - began
    if gap is not None and not (answer.best or answer.nearest):
        fail("--time-limit", "the search ended before it found a plan", "give it more")
    ways = () if answer.best or gap else minimal_relaxations(planner, wanted)
    shown = answer.best or answer.nearest or (ways[0].plan if ways else None)
    if shown is None:
        fail("requirements", "no plan is allowed at all", "allow some tier to hold the first block")
    certificate = _certificate(planner, wanted, asked, seed)
    if certificate is not None:
        shown = planner.estimate(certificate.plan)
    met = answer.best is not None and (certificate is None or not asked.certify or certificate.certified)
    return Found(wanted, shown, met, members, ways, certificate, gap, took_s, planner.plans)


def find_among(
    planners: Sequence[Planner], asked: Requirements, limits: SearchLimits, *, frontier: bool, seed: int
) -> tuple[Planner, Found]:
    """The best of what each of the planners finds, with its planner; the frontier is that of all of them.

    planners: at least one, on one topology, each with a codec of its own; the first sets the requirement where none
        was stated.
    """
    first = find(planners[0], asked, limits, frontier=frontier, seed=seed)
    stated = replace(asked, requirement=first.wanted)
    found = [first, *(find(each, stated, limits, frontier=frontier, seed=seed) for each in planners[1:])]
    wanted, latency = first.wanted, first.wanted.latency

    def merit(k: int) -> tuple[bool, float, float]:
        shown = found[k].shown.estimate
        order = latency.of(shown), -shown.accuracy
        return (not found[k].met, *(order if wanted.min_accuracy is not None else order[::-1]))

    best = min(range(len(found)), key=merit)
    members = sorted((one for each in found for one in each.members), key=lambda one: latency.of(one.estimate))
    if members:
        latencies = np.array([latency.of(each.estimate) for each in members])
        keep = nondominated(latencies, np.array([each.estimate.accuracy for each in members]))
        members = [each for each, kept in zip(members, keep, strict=True) if kept]
    took_s = sum(each.took_s for each in found)
    plans = sum(each.plans for each in planners)
    return planners[best], replace(found[best], members=tuple(members), took_s=took_s, plans=plans)


def _certificate(planner: Planner, wanted: Requirement, asked: Requirements, seed: int) -> Certificate | None:
    if asked.confidence is None:
        return None
    from offramp.core.certify import audit, certify  # needs scipy, which takes a moment

    return (certify if asked.certify else audit)(planner, wanted, confidence=asked.confidence, seed=seed)


def default_requirement(members: Sequence[EstimatedPlan]) -> Requirement:
    """Where nothing is asked: within a point of the best accuracy on the frontier, `members`."""
    if not members:
        fail("requirements", "no plan is allowed at all", "allow some tier to hold the first block")
    return Requirement(min_accuracy=max(0.0, members[-1].estimate.accuracy - 0.01))
