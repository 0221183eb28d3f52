"""Searches that are stopped after so much work: what they prove holds, and gets better with more work."""

import itertools
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import offramp
from offramp.core.constraints import Constraints
from offramp.core.estimate import Latency
from offramp.core.exits import Replay
from offramp.core.planner import Planner
from offramp.core.relaxation import minimal_relaxations
from offramp.core.requirement import Requirement

from .test_relaxation import tight_cases
from .test_space import cases, frontier_by_trying
from .worlds import World

LEVELS = [0.0, 0.25, 0.5]


class StopAfter:
    """Stands for the flag that another thread sets: true once it has been looked at so many times."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def __getitem__(self, place: int) -> bool:
        self.looks -= 1
        return self.looks < 0


@settings(max_examples=200, deadline=None)
@given(
    case=cases(), floor=st.integers(0, 8), limit=st.integers(1, 200), goal=st.sampled_from(["floor", "limit", "all"])
)
def test_the_gap_holds_and_more_work_never_loosens_it(
    case: tuple[World, Constraints, Latency], floor: int, limit: int, goal: str
) -> None:
    world, limits, latency = case
    if world.profile.exit_table is None:
        return
    planner = Planner.of(world.profile, world.topology, thresholds=LEVELS, compiled=False)
    assert isinstance(planner.exits, Replay)
    every = [(value, right) for value, right, *_ in frontier_by_trying(world, limits, latency, LEVELS)]
    asked = Requirement(
        min_accuracy=floor / 8 if goal == "floor" else None,
        max_latency_s=limit / 4 if goal == "limit" else None,
        latency=latency,
        constraints=limits,
    )
    met = [one for one in every if one[0] <= asked.limit and one[1] >= asked.floor]
    wanted = every if goal == "all" else met[:1] if goal == "floor" else met[-1:]
    before_s, before_accuracy = -math.inf, math.inf
    for looks in itertools.chain(range(12), itertools.count(12, 7)):
        found, gap = stopped(planner, asked, StopAfter(looks))
        for value, right in wanted:
            reached = any(t <= value and a >= right for t, a in found)
            assert reached or (gap is not None and value >= gap.latency_s and right <= gap.accuracy)
        if gap is None:
            assert found == wanted
            return
        assert gap.latency_s >= before_s
        assert gap.accuracy <= before_accuracy
        before_s, before_accuracy = gap.latency_s, gap.accuracy


def stopped(planner: Planner, asked: Requirement, stop: Any) -> tuple[list[tuple[float, float]], Any]:
    """Latency and accuracy of what a search finds until it is stopped, and what is proven of the rest."""
    if asked.has_goal:
        answer = planner.meeting(asked, stop)
        plans, gap = [] if answer.best is None else [answer.best], answer.gap
    else:
        plans, gap = planner.frontier_within(asked, stop)
    return [(asked.latency.of(plan.estimate), plan.estimate.accuracy) for plan in plans], gap


def test_a_search_that_is_stopped_at_once_has_a_plan_and_a_gap() -> None:
    solution = offramp.solve(
        "resnet20-cifar10", min_accuracy=0.8, threshold_per_exit=True, exits_per_tier=3, time_limit="1 us",
        frontier=False, certify=False,
    )  # fmt: skip
    assert solution.met
    assert solution.estimate.accuracy >= 0.8
    assert solution.gap is not None
    assert solution.gap.latency_s < solution.estimate.latency_s
    whole = offramp.solve(
        "resnet20-cifar10", min_accuracy=0.8, threshold_per_exit=True, exits_per_tier=3, frontier=False, certify=False
    )
    assert solution.gap.latency_s <= whole.estimate.latency_s <= solution.estimate.latency_s


@settings(max_examples=60, deadline=None)
@given(case=tight_cases(), looks=st.integers(0, 300))
def test_what_to_give_up_is_right_however_early_it_is_asked_for(case: tuple[World, Requirement], looks: int) -> None:
    world, asked = case
    planner = Planner.of(world.profile, world.topology, compiled=False)
    whole = {each.given_up for each in minimal_relaxations([planner], asked)}
    found = {each.given_up for each in minimal_relaxations([planner], asked, StopAfter(looks))}  # type: ignore[arg-type]
    assert found <= whole
    assert {each.given_up for each in minimal_relaxations([planner], asked, StopAfter(10**9))} == whole  # type: ignore[arg-type]


@pytest.mark.parametrize("latency", ["mean", "p95"])
def test_a_time_limit_holds_while_many_partitions_are_placed(latency: str) -> None:
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    from instances import problem

    profile, topology = problem(blocks=16, tiers=16, thresholds=2, samples=200, seed=1)
    asked = {"require": [tier.name for tier in topology.tiers], "latency": latency, "time_limit": "300 ms"}
    met = offramp.solve(profile, topology, min_accuracy=0.5, frontier=False, **asked)
    assert met.met
    assert len(met.plan.ends) == 16
    unmet = offramp.solve(profile, topology, min_accuracy=1.0, max_latency="1 us", frontier=False, **asked)
    assert not unmet.met
    assert max(met.search_s, unmet.search_s) < 2
