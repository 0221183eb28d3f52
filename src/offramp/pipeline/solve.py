"""From a requirement to the plan: the search, what stands in where nothing is asked, and how sure the answer is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, NoReturn, Unpack

import numpy as np

from offramp.core.estimate import EstimatedPlan
from offramp.core.exits import ExitModelName, Replay
from offramp.core.latency import ComputeSource
from offramp.core.planner import Planner, serving
from offramp.core.profile import Profile
from offramp.core.relaxation import minimal_relaxations
from offramp.core.requirement import NO_REQUIREMENT, Objective, Requirement
from offramp.core.search_result import Gap, SearchResult, choose, unbeaten
from offramp.core.topology import Topology
from offramp.errors import fail
from offramp.files import RequirementWords
from offramp.pipeline.arguments import planners_of, profile_of, requirement_of, topology_of, whole_number
from offramp.pipeline.progress import Progress, ShowProgress, reporting
from offramp.pipeline.solution import Solution
from offramp.view.text import seconds

if TYPE_CHECKING:
    from offramp.core.checks import BoolArray


def solve(
    profile: Profile | str | Path,
    topology: Topology | str | Path = "mobile",
    requirement: Requirement | str | Path | None = None,
    *,
    exit_model: ExitModelName | str | None = None,
    compute: ComputeSource | str | None = None,
    thresholds: Sequence[float] | None = None,
    frontier: bool | None = None,
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
    frontier: whether the whole frontier is wanted, and not only the one plan; None for all but where it takes
        long, with a threshold per exit.
    seed: of which samples choose and which certify, where a plan is certified.
    Where no plan meets the requirement, the solution says so (`met`), holds the plan that comes nearest, and what could
    be given up (`relaxations`).
    Raises `InputError` for what can't be used, where no plan is allowed at all, or where the limits ended the search
    before there was a plan.
    """
    profile, topology = profile_of(profile), topology_of(topology)
    asked = requirement_of(requirement, words)
    whole_number("seed", seed)
    planners = planners_of(profile, topology, asked, exit_model=exit_model, compute=compute, thresholds=thresholds)
    most_s = asked.limits.time_s
    with reporting(progress) as tell:
        if most_s is not None:
            # At first use on a machine a search is compiled, which can't be stopped: have one do it that ends at once.
            tell(Progress("preparing", None, "takes longer once on a machine"))
            nothing_asked = replace(NO_REQUIREMENT, constraints=asked.constraints, limits=asked.limits)
            planners[0].frontier_within(nothing_asked, np.ones(1, np.bool_))
        tell(Progress("searching", None, "" if most_s is None else f"of {seconds(most_s)}"))
        wanted = not asked.constraints.threshold_per_exit if frontier is None else frontier
        # What certifies a plan needs time, too.
        halved = most_s is not None and asked.certifies(samples=isinstance(planners[0].exits, Replay))
        with _after(most_s / 2 if most_s is not None and halved else most_s) as stop, _after(most_s) as end:
            return solve_among(profile, planners, asked, stop=stop, end=end, frontier=wanted, seed=seed)


def solve_among(
    profile: Profile,
    planners: Sequence[Planner],
    requirement: Requirement,
    *,
    stop: BoolArray | None = None,
    end: BoolArray | None = None,
    frontier: bool = True,
    seed: int = 0,
) -> Solution:
    """The best of what each of the planners finds; the frontier is that of all of them, and so is the gap.

    profile: what the planners were made of.
    planners: at least one, on one topology, each with codecs of its own.
    stop: as for `Planner.best`. end: the same for the searches of a certificate; `stop` where it is not given.
    """
    end = stop if end is None else end
    began = time.perf_counter()
    asked, answers, members = _searched(planners, requirement, stop, frontier=frontier)
    search_s = time.perf_counter() - began
    gap = _gap_of_all([answer.gap for answer in answers])
    found = [
        _Found(planner=planner, estimated=plan, met=answer.best is not None)
        for planner, answer in zip(planners, answers, strict=True)
        if (plan := answer.best or answer.nearest) is not None
    ]
    if gap is not None and not found:
        limit = "memory_limit" if asked.limits.time_s is None else "time_limit"
        fail(limit, "the search ended before it found a plan", "give it more")
    relaxations = () if gap or any(one.met for one in found) else minimal_relaxations(planners, asked, end)
    if not found:
        found = [
            _Found(planner=serving(planners, each.plan.plan), estimated=each.plan, met=False)
            for each in relaxations[:1]
        ]
    if not found:
        _no_plan()
    seen = min(found, key=lambda one: asked.rank(one.estimated.estimate, met=one.met))
    best, certificate = seen, None
    if seen.met and asked.certifies(samples=isinstance(seen.planner.exits, Replay)):
        from offramp.core.certify import certify  # needs scipy, which takes a moment

        certificate = certify(planners, asked, seed=seed, stop=end)
        best = replace(seen, met=False)
        if certificate.plan is not None:
            planner = serving(planners, certificate.plan)
            best = _Found(planner=planner, estimated=planner.estimate(certificate.plan), met=True)
    return Solution(
        profile=profile,
        planner=best.planner,
        requirement=asked,
        estimated=best.estimated,
        met=best.met,
        best_seen=seen.estimated,
        frontier=members,
        relaxations=relaxations,
        certificate=certificate,
        gap=gap,
        search_s=search_s,
        plan_count=sum(planner.plan_count(asked.constraints) for planner in planners),
    )


def default_requirement(frontier: Sequence[EstimatedPlan], requirement: Requirement) -> Requirement:
    """What stands in where neither a floor nor a limit is stated: within a point of the best accuracy there is."""
    if not frontier:
        _no_plan()
    return replace(requirement, min_accuracy=max(0.0, frontier[-1].estimate.accuracy - 0.01))


@contextmanager
def _after(time_s: float | None) -> Iterator[BoolArray]:
    """[1] what becomes true after so many seconds, and ends a search that is given it; None for never."""
    stop = np.zeros(1, np.bool_)
    if time_s is None:
        yield stop
        return
    timer = Timer(time_s, stop.fill, [True])
    timer.daemon = True
    timer.start()
    try:
        yield stop
    finally:
        timer.cancel()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Found:
    """What one planner found."""

    planner: Planner
    estimated: EstimatedPlan
    met: bool


def _searched(
    planners: Sequence[Planner], requirement: Requirement, stop: BoolArray | None, *, frontier: bool
) -> tuple[Requirement, list[SearchResult], tuple[EstimatedPlan, ...]]:
    """What was asked or stands in, each planner's answer, and the frontier of all where it was wanted or needed."""
    if requirement.has_goal and not frontier:
        return requirement, [planner.best(requirement, stop) for planner in planners], ()
    searched = [planner.frontier_within(requirement, stop) for planner in planners]
    merged = merged_frontier([plan for members, _ in searched for plan in members], requirement)
    asked = requirement
    if not requirement.has_goal and (merged or not any(gap for _, gap in searched)):
        asked = default_requirement(merged, requirement)
    if not asked.has_goal:
        return asked, [SearchResult(best=None, gap=gap) for _, gap in searched], merged
    answers = [replace(choose(members, asked), gap=gap) for members, gap in searched]
    if asked.minimize is Objective.ENERGY:
        # Plans that break the limit on latency aren't on that frontier, and one of them may be the nearest.
        answers = [
            planner.best(asked, stop) if answer.best is None and answer.gap is None else answer
            for planner, answer in zip(planners, answers, strict=True)
        ]
    return asked, answers, merged


def frontier_among(
    planners: Sequence[Planner], requirement: Requirement, stop: BoolArray | None = None
) -> tuple[tuple[EstimatedPlan, ...], Gap | None]:
    """The frontier of all the planners together, and what is proven of the rest where a search was ended early.

    stop: as for `Planner.best`.
    """
    searched = [planner.frontier_within(requirement, stop) for planner in planners]
    merged = merged_frontier([plan for members, _ in searched for plan in members], requirement)
    return merged, _gap_of_all([gap for _, gap in searched])


def _gap_of_all(gaps: Sequence[Gap | None]) -> Gap | None:
    """What is proven of the plans that none of several searches has looked at; None where all came to their end."""
    open_ = [gap for gap in gaps if gap is not None]
    if not open_:
        return None
    energies_j = [gap.energy_j for gap in open_ if gap.energy_j is not None]
    least_s, surest = min(gap.latency_s for gap in open_), max(gap.accuracy for gap in open_)
    return Gap(least_s, surest, min(energies_j, default=None))


def merged_frontier(plans: Sequence[EstimatedPlan], requirement: Requirement) -> tuple[EstimatedPlan, ...]:
    """Those of several frontiers' plans that no other beats, fastest first, or what takes least energy."""
    return unbeaten(sorted(plans, key=lambda plan: requirement.cost(plan.estimate)), requirement)


def _no_plan() -> NoReturn:
    fail("requirements", "no plan is allowed at all", "allow some tier to hold the first block")
