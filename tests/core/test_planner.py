"""The planner against trying every plan, and laws that hold for any numbers."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.counting import space_size
from offramp.core.exits import ExitModelName
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.requirement import Requirement
from offramp.core.search_result import choose
from offramp.core.topology import Topology
from offramp.errors import InputError
from offramp.files import read_profile, read_topology

from . import oracle
from .worlds import World, worlds

ENGINES = pytest.mark.parametrize("compiled", [False, True], ids=["interpreted", "compiled"])


def as_oracle(planner: Planner) -> list[tuple]:
    names = [tier.name for tier in planner.topology.tiers]
    return [
        (
            each.estimate.latency_s,
            each.estimate.accuracy,
            each.plan.ends,
            tuple(names.index(name) for name in each.plan.placement),
            each.plan.thresholds,
        )
        for each in planner.frontier()
    ]


@ENGINES
@settings(max_examples=300, deadline=None)
@given(world=worlds())
def test_frontier_is_what_trying_every_plan_finds_ties_included(compiled: bool, world: World) -> None:
    planner = Planner.of(world.profile, world.topology, compiled=compiled)
    assert as_oracle(planner) == oracle.frontier(world.profile, world.topology)


@settings(max_examples=60, deadline=None)
@given(world=worlds(most_blocks=7, most_tiers=3))
def test_frontier_of_longer_backbones(world: World) -> None:
    planner = Planner.of(world.profile, world.topology, compiled=True)
    assert as_oracle(planner) == oracle.frontier(world.profile, world.topology)


@settings(max_examples=100, deadline=None)
@given(world=worlds(), floor=st.integers(0, 8), limit=st.integers(1, 400), which=st.integers(1, 3))
def test_best_is_what_the_frontier_says(world: World, floor: int, limit: int, which: int) -> None:
    planner = Planner.of(world.profile, world.topology, compiled=True)
    requirement = Requirement(
        min_accuracy=floor / 8 if which & 1 else None, max_latency_s=limit / 8 if which & 2 else None
    )
    assert planner.best(requirement) == choose(planner.frontier(), requirement)


@settings(max_examples=100, deadline=None)
@given(world=worlds())
def test_engines_agree(world: World) -> None:
    for exits in ExitModelName:
        try:
            slow, fast = (Planner.of(world.profile, world.topology, exits=exits, compiled=c) for c in (False, True))
        except InputError:
            continue  # the profile lacks what that model needs
        assert slow.frontier() == fast.frontier()


def jittered(world: World, seed: int) -> World:
    """The same world with every time and rate multiplied by a random factor: nothing ties and sums round."""
    random = np.random.default_rng(seed)
    links = tuple(
        dataclasses.replace(link, bandwidth_bits_per_s=link.bandwidth_bits_per_s * random.uniform(0.5, 2))
        for link in world.topology.links
    )
    return World(world.profile, dataclasses.replace(world.topology, links=links))


def latency_terms_s(world: World) -> list[float]:
    """The longest way of one sample through each tier alone, and a second, in case all are instant."""
    blocks = len(world.profile.backbone.blocks)
    tiers = range(len(world.topology.tiers))
    return [1.0, *(oracle.one_way(world.profile, world.topology, (blocks,), (j,), 0) for j in tiers)]


@settings(max_examples=100, deadline=None)
@given(world=worlds(), seed=st.integers(0, 2**32 - 1))
def test_frontier_with_numbers_that_round(world: World, seed: int) -> None:
    world = jittered(world, seed)
    found = as_oracle(Planner.of(world.profile, world.topology, compiled=True))
    wanted = oracle.frontier(world.profile, world.topology)
    # Marginal rates can be negative, and then seconds cancel: what rounding leaves is small beside
    # the terms, not beside the sum.
    slack_s = 1e-12 * max(latency_terms_s(world))
    for latency, accuracy, *_ in wanted:
        assert any(lat <= latency + slack_s and acc >= accuracy - 1e-12 for lat, acc, *_ in found)
    for latency, accuracy, *_ in found:
        assert any(lat <= latency + slack_s and acc >= accuracy - 1e-12 for lat, acc, *_ in wanted)


@settings(max_examples=100, deadline=None)
@given(world=worlds())
def test_frontier_members_do_not_dominate_each_other(world: World) -> None:
    members = Planner.of(world.profile, world.topology).frontier()
    for a, b in itertools.pairwise(members):
        assert a.estimate.latency_s < b.estimate.latency_s
        assert a.estimate.accuracy < b.estimate.accuracy


def least_latency(world: World, topology: Topology) -> list[float]:
    """The least latency for each eighth of accuracy; infinity where none reaches it."""
    planner = Planner.of(world.profile, topology, compiled=True)
    answers = [planner.best(Requirement(min_accuracy=floor / 8)).best for floor in range(9)]
    return [math.inf if answer is None else answer.estimate.latency_s for answer in answers]


@settings(max_examples=60, deadline=None)
@given(world=worlds(), data=st.data())
def test_a_faster_link_or_tier_never_hurts(world: World, data: st.DataObject) -> None:
    if world.profile.exits is not None and world.profile.exit_table is None:
        return  # a marginal model's negative rates would make a faster link a loss
    topology = world.topology
    tiers, links = list(topology.tiers), list(topology.links)
    j = data.draw(st.integers(0, len(tiers) + 2 * len(links) - 1))
    if j < len(tiers):
        if tiers[j].slowdown is None:
            return
        tiers[j] = dataclasses.replace(tiers[j], slowdown=tiers[j].slowdown / 2)
    else:
        k, kind = divmod(j - len(tiers), 2)
        link = links[k]
        if kind:
            links[k] = dataclasses.replace(link, latency_s=link.latency_s / 2)
        else:
            links[k] = dataclasses.replace(link, bandwidth_bits_per_s=link.bandwidth_bits_per_s * 2)
    faster = dataclasses.replace(topology, tiers=tuple(tiers), links=tuple(links))
    assert all(
        new <= old for new, old in zip(least_latency(world, faster), least_latency(world, topology), strict=True)
    )


@given(blocks=st.integers(1, 6), tiers=st.integers(1, 5), thresholds=st.integers(1, 3))
def test_space_size_counts_every_plan(blocks: int, tiers: int, thresholds: int) -> None:
    every = oracle.every_plan(blocks, tiers, [k / 4 for k in range(thresholds)])
    assert space_size(blocks=blocks, tiers=tiers, thresholds=thresholds) == sum(1 for _ in every)


def test_space_size_of_the_paper() -> None:
    assert space_size(blocks=10, tiers=4, thresholds=20) == 170_000


@given(world=worlds(most_blocks=3, most_tiers=3))
def test_an_impossible_requirement_has_no_best_plan(world: World) -> None:
    planner = Planner.of(world.profile, world.topology)
    members = planner.frontier()
    too_fast = (
        Requirement(max_latency_s=members[0].estimate.latency_s / 2) if members[0].estimate.latency_s > 0 else None
    )
    if too_fast is not None:
        answer = planner.best(too_fast)
        assert answer.best is None
        assert answer.nearest == members[0]
    if members[-1].estimate.accuracy < 1:
        answer = planner.best(Requirement(min_accuracy=(members[-1].estimate.accuracy + 1) / 2))
        assert answer.best is None
        assert answer.nearest == members[-1]


def test_the_best_plan_needs_a_floor_or_a_limit() -> None:
    planner = Planner.of(read_profile("resnet20-digits"), read_topology("mobile"))
    with pytest.raises(InputError, match="give a floor on accuracy or a limit on latency"):
        planner.best(Requirement())
    with pytest.raises(InputError, match="give a floor on accuracy or a limit on latency"):
        choose(planner.frontier(), Requirement())
    with pytest.raises(InputError, match=r"min_accuracy: 92 is outside \[0, 1\]"):
        Requirement(min_accuracy=92)


@given(world=worlds(most_blocks=2, most_tiers=2))
def test_price_refuses_a_plan_that_does_not_fit(world: World) -> None:
    planner = Planner.of(world.profile, world.topology)
    with pytest.raises(InputError, match="block 9 of a backbone"):
        planner.estimate(Plan.parse("1-9@t0"))
    with pytest.raises(InputError, match="has no tier 'moon'"):
        planner.estimate(Plan.parse("1@moon"))
