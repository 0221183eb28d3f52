"""From a requirement to the plan: the search, what stands in where nothing is asked, and how sure the answer is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, NoReturn, Unpack

import numpy as np

from offramp.core.estimate import EstimatedPlan
from offramp.core.exits import ExitModelName
from offramp.core.latency import ComputeSource
from offramp.core.planner import Gap, Planner, choose, unbeaten
from offramp.core.profile import Profile
from offramp.core.relaxation import minimal_relaxations
from offramp.core.requirement import NO_REQUIREMENT, Requirement
from offramp.core.topology import Topology
from offramp.errors import fail
from offramp.files import RequirementWords
from offramp.pipeline.arguments import planners_of, profile_of, requirement_of, topology_of
from offramp.pipeline.progress import Progress, ShowProgress, reporting
from offramp.pipeline.solution import Solution
from offramp.view.text import seconds

if TYPE_CHECKING:
    from offramp.core.certify import Certificate
    from offramp.core.checks import BoolArray


def solve(
    profile: Profile | str | Path,
    topology: Topology | str | Path = "mobile",
    requirement: Requirement | str | Path | None = None,
    *,
    exit_model: ExitModelName | str | None = None,
    compute: ComputeSource | str | None = None,
    thresholds: Sequence[float] | None = None,
    frontier: bool = True,
    seed: int = 0,
    progress: ShowProgress = None,
    **words: Unpack[RequirementWords],
) -> Solution:
    """Find the optimal plan: where to cut the network, where each partition runs, and when samples exit.

    profile, topology: values, names of those that ship, or paths of files.
    requirement: a value, or the path of a YAML file; None for what the words say. Without a floor and a limit: the
        fastest plan within a point of the best reachable accuracy.
    words: the keys of such a file, which take precedence: `min_accuracy=0.92, max_latency="300 ms", codec="any"`.
    exit_model: published, marginal or replay; by default replay where there is an exit table.
    compute: blocks or partitions; by default whole partitions where they were measured.
    thresholds: to try; by default those of the profile.
    frontier: whether the whole frontier is wanted, and not only the one plan.
    seed: of the halves of the exit table, where a bound on accuracy is asked for.
    Where no plan meets the requirement, the solution says so (`met`), holds the plan that comes nearest, and what could
    be given up (`relaxations`).
    Raises `InputError` for what can't be used, where no plan is allowed at all, or where the limits ended the search
    before there was a plan.
    """
    profile, topology = profile_of(profile), topology_of(topology)
    asked = requirement_of(requirement, words)
    planners = planners_of(
        profile, topology, asked.codecs, exit_model=exit_model, compute=compute, thresholds=thresholds
    )
    with reporting(progress) as tell, stop_after(asked.limits.time_s, planners[0]) as stop:
        tell(Progress("searching", None, "" if asked.limits.time_s is None else f"of {seconds(asked.limits.time_s)}"))
        return solve_among(profile, planners, asked, stop=stop, frontier=frontier, seed=seed)


def solve_among(
    profile: Profile,
    planners: Sequence[Planner],
    requirement: Requirement,
    *,
    stop: BoolArray | None = None,
    frontier: bool = True,
    seed: int = 0,
) -> Solution:
    """The best of what each of the planners finds; the frontier is that of all of them.

    profile: what the planners were made of.
    planners: at least one, on one topology, each with a codec of its own; the first sets the requirement where none
        was stated.
    stop: as for `Planner.best`.
    """
    first = _solve_one(profile, planners[0], requirement, stop=stop, frontier=frontier, seed=seed)
    stated = first.requirement
    solutions = [
        first,
        *(_solve_one(profile, other, stated, stop=stop, frontier=frontier, seed=seed) for other in planners[1:]),
    ]

    best = min(solutions, key=lambda solution: stated.rank(solution.estimate, met=solution.met))
    return replace(
        best,
        frontier=merged_frontier([plan for solution in solutions for plan in solution.frontier], stated),
        search_s=sum(solution.search_s for solution in solutions),
        plan_count=sum(solution.plan_count for solution in solutions),
    )


def default_requirement(frontier: Sequence[EstimatedPlan], requirement: Requirement) -> Requirement:
    """What stands in where neither a floor nor a limit is stated: within a point of the best accuracy there is."""
    if not frontier:
        _no_plan()
    return replace(requirement, min_accuracy=max(0.0, frontier[-1].estimate.accuracy - 0.01))


@contextmanager
def stop_after(time_s: float | None, planner: Planner) -> Iterator[BoolArray]:
    """[1] what becomes true after so many seconds, and ends a search that is given it; None for never.

    planner: one of those that will search.
    """
    stop = np.zeros(1, np.bool_)
    if time_s is None:
        yield stop
        return
    # Compiling, at first use on a machine, is not searching: have it done by a search that ends at once.
    planner.frontier_within(NO_REQUIREMENT, np.ones(1, np.bool_))
    timer = Timer(time_s, stop.fill, [True])
    timer.daemon = True
    timer.start()
    try:
        yield stop
    finally:
        timer.cancel()


def _solve_one(
    profile: Profile, planner: Planner, asked: Requirement, *, stop: BoolArray | None, frontier: bool, seed: int
) -> Solution:
    members: tuple[EstimatedPlan, ...] = ()
    began = time.perf_counter()
    if frontier or not asked.has_goal:
        members, gap = planner.frontier_within(asked, stop)
        requirement = asked if asked.has_goal else default_requirement(members, asked)
        answer = choose(members, requirement)
    else:
        requirement = asked
        answer = planner.best(requirement, stop)
        gap = answer.gap
    search_s = time.perf_counter() - began
    if gap is not None and not (answer.best or answer.nearest):
        fail("time_limit", "the search ended before it found a plan", "give it more")
    relaxations = () if answer.best or gap else minimal_relaxations(planner, requirement)
    shown = answer.best or answer.nearest or (relaxations[0].plan if relaxations else None)
    if shown is None:
        _no_plan()
    certificate = _certificate(planner, requirement, seed)
    if certificate is not None:
        shown = planner.estimate(certificate.plan)
    return Solution(
        profile=profile,
        planner=planner,
        requirement=requirement,
        estimated=shown,
        met=answer.best is not None and (certificate is None or not requirement.certify or certificate.certified),
        frontier=members,
        relaxations=relaxations,
        certificate=certificate,
        gap=gap,
        search_s=search_s,
        plan_count=planner.plan_count(requirement.constraints),
    )


def frontier_among(
    planners: Sequence[Planner], requirement: Requirement, stop: BoolArray | None = None
) -> tuple[tuple[EstimatedPlan, ...], Gap | None]:
    """The frontier of all the planners together, and what is proven of the rest where a search was ended early.

    stop: as for `Planner.best`.
    """
    searched = [planner.frontier_within(requirement, stop) for planner in planners]
    gaps = [gap for _, gap in searched if gap is not None]
    gap = Gap(min(gap.latency_s for gap in gaps), max(gap.accuracy for gap in gaps)) if gaps else None
    return merged_frontier([plan for members, _ in searched for plan in members], requirement), gap


def merged_frontier(plans: Sequence[EstimatedPlan], requirement: Requirement) -> tuple[EstimatedPlan, ...]:
    """Those of several frontiers' plans that no other beats, fastest first."""
    latency = requirement.latency
    return unbeaten(sorted(plans, key=lambda plan: latency.of(plan.estimate)), latency)


def _certificate(planner: Planner, requirement: Requirement, seed: int) -> Certificate | None:
    if requirement.confidence is None:
        return None
    from offramp.core.certify import audit, certify  # needs scipy, which takes a moment

    return (certify if requirement.certify else audit)(planner, requirement, seed=seed)


def _no_plan() -> NoReturn:
    fail("requirements", "no plan is allowed at all", "allow some tier to hold the first block")
