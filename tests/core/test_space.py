"""The wider space against trying every plan: exits on a tier, a threshold per exit, percentiles, constraints."""

import itertools
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.backbone import Backbone, Block
from offramp.core.constraints import Constraints, Prices
from offramp.core.counting import space_size
from offramp.core.estimate import Latency
from offramp.core.exit_table import ExitTable
from offramp.core.exits import Additive, exit_model
from offramp.core.feasible import is_feasible
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.profile import ExitRates, Meaning, Profile
from offramp.core.requirement import NO_REQUIREMENT, Requirement, SearchLimits
from offramp.core.search_result import choose
from offramp.core.timing import Timing
from offramp.core.topology import Link, Tier, Topology
from offramp.errors import InputError

from . import oracle
from .worlds import World, worlds


@st.composite
def constraints(draw: st.DrawFn, world: World) -> Constraints:
    names = [tier.name for tier in world.topology.tiers]
    blocks = len(world.profile.backbone.blocks)
    some = st.sets(st.sampled_from(names), max_size=1)
    forbidden = draw(some)
    prices, budget = None, None
    if draw(st.booleans()):
        prices = Prices(tier_s={name: draw(st.sampled_from([0, 0.5, 2])) for name in names}, bit=0.125)
        budget = draw(st.sampled_from([1, 8, 32]))
    return Constraints(
        keep_blocks=draw(st.none() | st.integers(0, blocks)),
        memory_bits=draw(st.dictionaries(st.sampled_from(names), st.sampled_from([8, 40, 80, 160]), max_size=2)),
        forbidden=frozenset(forbidden),
        required=frozenset(draw(some) - forbidden),
        max_upload_bits=draw(st.none() | st.sampled_from([0, 4, 16, 64])),
        prices=prices,
        budget=budget,
    )


def allowed(world: World, rules: Constraints, ends: tuple, places: tuple, rates: list[float]) -> bool:
    """Whether a plan keeps to the rules, worked out from their words."""
    topology, backbone = world.topology, world.profile.backbone
    names = [tier.name for tier in topology.tiers]
    used = {names[j] for j in places}
    source, destination = names.index(topology.source), names.index(topology.destination)
    spans = list(zip([1, *(end + 1 for end in ends)], ends, places, strict=False))
    if rules.keep_blocks is not None and any(
        first <= max(1, rules.keep_blocks) and j != source for first, _, j in spans
    ):
        return False
    if used & rules.forbidden or rules.required - used:
        return False
    outputs = [block.output_bits for block in backbone.blocks]
    sizes = [backbone.input_bits, *outputs]
    for name, most in rules.memory_bits.items():
        held = [i for first, last, j in spans if names[j] == name for i in range(first, last + 1)]
        if held:
            weights = sum(backbone.blocks[i - 1].weight_bits for i in held)
            if weights + max(sizes[held[0] - 1 : held[-1] + 1]) > most:
                return False
    # What travels, for how many samples: the input, activations, results.
    reach = [1.0, *itertools.accumulate(rates[:-1], lambda share, rate: share - rate, initial=1.0)][1:]
    trips = [(1.0, source, places[0], sizes[0])]
    trips += [(reach[k + 1], places[k], places[k + 1], sizes[ends[k]]) for k in range(len(ends) - 1)]
    trips += [(rates[k], places[k], destination, backbone.result_bits) for k in range(len(ends))]
    if rules.max_upload_bits is not None:
        sent = sum(share * bits for share, a, b, bits in trips if a == source and b != source)
        if sent > rules.max_upload_bits:
            return False
    if rules.prices is not None:
        cost = sum(share * bits * abs(a - b) * rules.prices.bit for share, a, b, bits in trips)
        for k, (first, last, j) in enumerate(spans):
            seconds = oracle.compute_time(world.profile, topology, j, first, last)
            cost += reach[k] * seconds * rules.prices.tier_s[names[j]]
        if cost > rules.budget:
            return False
    return True


def frontier_by_trying(
    world: World, limits: Constraints, latency: Latency, thresholds: list[float]
) -> list[tuple[float, float, tuple, tuple, tuple]]:
    profile, topology = world.profile, world.topology
    found = []
    for ends, places, cuts in oracle.every_wide_plan(
        len(profile.backbone.blocks),
        len(topology.tiers),
        thresholds,
        exits_per_tier=limits.exits_per_tier,
        per_exit=limits.threshold_per_exit,
    ):
        if profile.exit_table is not None:
            rates, accuracy = oracle.replayed(profile.exit_table, ends, (*cuts, 1.0))
        else:
            rates, accuracy = oracle.from_rates(profile.exits, ends, cuts[0] if cuts else thresholds[0])
        if not allowed(world, limits, ends, places, rates):
            continue
        latencies = [oracle.one_way(profile, topology, ends, places, k) for k in range(len(ends))]
        if latency is Latency.MEAN:
            value = sum(rate * each for rate, each in zip(rates, latencies, strict=True))
        else:
            value = oracle.percentile(rates, latencies, latency.value)
        found.append((value, -accuracy, len(ends), ends, places, cuts))
    members, best = [], -math.inf
    for value, wrong, _, ends, places, cuts in sorted(found):
        if -wrong > best:
            best = -wrong
            members.append((value, -wrong, ends, places, cuts))
    return members


@st.composite
def cases(draw: st.DrawFn) -> tuple[World, Constraints, Latency]:
    world = draw(worlds(most_blocks=4, most_tiers=3))
    table = world.profile.exit_table is not None
    limits = replace(
        draw(st.just(Constraints()) | constraints(world)),
        exits_per_tier=draw(st.integers(1, 3)),
        threshold_per_exit=table and draw(st.booleans()),
    )
    return world, limits, draw(st.sampled_from(Latency)) if table else Latency.MEAN


@settings(max_examples=400, deadline=None)
@given(case=cases(), compiled=st.booleans())
def test_frontier_of_the_wider_space(case: tuple[World, Constraints, Latency], compiled: bool) -> None:
    world, limits, latency = case
    thresholds = [0.0, 0.25, 0.5]
    if world.profile.exit_table is None:
        thresholds = world.profile.exits.thresholds.tolist()
    planner = Planner.of(world.profile, world.topology, thresholds=thresholds, compiled=compiled)
    names = [tier.name for tier in world.topology.tiers]
    found = [
        (
            latency.of(each.estimate),
            each.estimate.accuracy,
            each.plan.ends,
            tuple(map(names.index, each.plan.placement)),
            each.plan.thresholds,
        )
        for each in planner.frontier(Requirement(latency=latency, constraints=limits))
    ]
    assert found == frontier_by_trying(world, limits, latency, thresholds)


@settings(max_examples=100, deadline=None)
@given(case=cases())
def test_what_is_allowed_is_what_the_rules_say(case: tuple[World, Constraints, Latency]) -> None:
    world, limits, _ = case
    profile, topology = world.profile, world.topology
    thresholds = [0.25, 0.5] if profile.exit_table is not None else profile.exits.thresholds.tolist()
    planner = Planner.of(profile, topology, thresholds=thresholds)
    # The search space of wider limits: some of these plans have more exits on a tier than are allowed.
    every = oracle.every_wide_plan(
        len(profile.backbone.blocks), len(topology.tiers), thresholds, exits_per_tier=2,
        per_exit=profile.exit_table is not None,
    )  # fmt: skip
    for ends, places, cuts in every:
        estimated = planner.estimate(Plan(ends, tuple(topology.tiers[j].name for j in places), cuts))
        within = max(len(list(run)) for _, run in itertools.groupby(places)) <= limits.exits_per_tier
        uniform = limits.threshold_per_exit or len(set(cuts)) <= 1
        ruled = allowed(world, limits, ends, places, list(estimated.estimate.exit_rates))
        assert is_feasible(planner, estimated, limits) == (within and uniform and ruled), estimated.plan


@settings(max_examples=100, deadline=None)
@given(case=cases(), floor=st.integers(0, 8), limit=st.integers(1, 400), which=st.integers(1, 3))
def test_best_is_what_the_frontier_says(
    case: tuple[World, Constraints, Latency], floor: int, limit: int, which: int
) -> None:
    world, limits, latency = case
    planner = Planner.of(world.profile, world.topology, compiled=True)
    requirement = Requirement(
        min_accuracy=floor / 8 if which & 1 else None,
        max_latency_s=limit / 8 if which & 2 else None,
        latency=latency,
        constraints=limits,
    )
    assert planner.best(requirement) == choose(planner.frontier(requirement), requirement)


@settings(deadline=None)
@given(
    blocks=st.integers(1, 4),
    tiers=st.integers(1, 3),
    thresholds=st.integers(1, 3),
    exits_per_tier=st.integers(1, 4),
    per_exit=st.booleans(),
)
def test_space_size_counts_every_plan(
    blocks: int, tiers: int, thresholds: int, exits_per_tier: int, per_exit: bool
) -> None:
    levels = [k / 4 for k in range(thresholds)]
    every = oracle.every_wide_plan(blocks, tiers, levels, exits_per_tier=exits_per_tier, per_exit=per_exit)
    size = space_size(
        blocks=blocks, tiers=tiers, thresholds=thresholds, exits_per_tier=exits_per_tier, per_exit=per_exit
    )
    assert size == sum(1 for _ in every)


def law(world: World, before: Constraints, after: Constraints) -> None:
    """Whatever `before` allows, `after` allows too: for any accuracy it is at least as fast."""
    planner = Planner.of(world.profile, world.topology, compiled=True)
    for member in planner.frontier(Requirement(constraints=before)):
        answer = planner.best(Requirement(min_accuracy=member.estimate.accuracy, constraints=after)).best
        assert answer is not None
        assert answer.estimate.latency_s <= member.estimate.latency_s


@settings(max_examples=50, deadline=None)
@given(world=worlds(most_tiers=3))
def test_more_freedom_never_hurts(world: World) -> None:
    law(world, Constraints(), Constraints(exits_per_tier=2))
    if world.profile.exit_table is not None:
        law(world, Constraints(), Constraints(threshold_per_exit=True))
    law(world, Constraints(keep_blocks=1), Constraints())


@settings(max_examples=30, deadline=None)
@given(world=worlds(most_blocks=2, most_tiers=2))
def test_constraints_are_held_against_the_topology_and_the_profile(world: World) -> None:
    def build(**stated: object) -> None:
        Planner.of(world.profile, world.topology).frontier(Requirement(constraints=Constraints(**stated)))

    with pytest.raises(InputError, match="forbid: topology small has no tier 'moon'; use some of t0"):
        build(forbidden=frozenset({"moon"}))
    with pytest.raises(InputError, match=r"keep: 9 of \d blocks"):
        build(keep_blocks=9)
    with pytest.raises(InputError, match="budget: goes with prices"):
        build(budget=3.0)
    with pytest.raises(InputError, match="tier t0 is forbidden; take it out of one of the two"):
        build(forbidden=frozenset({"t0"}), required=frozenset({"t0"}))
    if isinstance(exit_model(world.profile), Additive):
        with pytest.raises(InputError, match="has one threshold"):
            build(threshold_per_exit=True)
        with pytest.raises(InputError, match="knows the mean alone"):
            Planner.of(world.profile, world.topology).frontier(Requirement(latency=Latency.P95))


def test_the_oracle_of_percentiles_looks_at_samples() -> None:
    assert oracle.percentile([0.5, 0.5], [1.0, 3.0], 50) == 1.0
    assert oracle.percentile([0.5, 0.5], [1.0, 3.0], 95) == 3.0
    assert oracle.percentile([0.125, 0.875], [9.0, 3.0], 50) == np.percentile([9, *[3] * 7], 50, method="inverted_cdf")


@settings(max_examples=100, deadline=None)
@given(case=cases(), compiled=st.booleans())
def test_a_search_that_is_ended_proves_what_it_left(case: tuple[World, Constraints, Latency], compiled: bool) -> None:
    world, limits, latency = case
    planner = Planner.of(world.profile, world.topology, compiled=compiled)
    asked = Requirement(latency=latency, constraints=limits)
    whole, open_end = planner.frontier_within(asked)
    assert open_end is None
    found, gap = planner.frontier_within(asked, np.ones(1, np.bool_))
    if gap is None:
        assert found == whole
        return
    for member in whole:
        value, accuracy = latency.of(member.estimate), member.estimate.accuracy
        covered = any(latency.of(f.estimate) <= value and f.estimate.accuracy >= accuracy for f in found)
        assert covered or (value >= gap.latency_s and accuracy <= gap.accuracy)
    # What is found is real: none of it is better than the whole frontier.
    for member in found:
        assert any(
            latency.of(w.estimate) <= latency.of(member.estimate) and w.estimate.accuracy >= member.estimate.accuracy
            for w in whole
        )


def test_a_memory_limit_ends_a_search_with_a_gap() -> None:
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    from instances import problem

    profile, topology = problem(blocks=152, tiers=6, thresholds=5, seed=2)
    planner = Planner.of(profile, topology, compiled=True)
    members, gap = planner.frontier_within(replace(NO_REQUIREMENT, limits=SearchLimits(memory_bytes=1e5)))
    assert gap is not None
    whole = planner.frontier()
    for member in whole:
        at_least_as_good = [
            m
            for m in members
            if m.estimate.latency_s <= member.estimate.latency_s and m.estimate.accuracy >= member.estimate.accuracy
        ]
        assert at_least_as_good or member.estimate.latency_s >= gap.latency_s * (1 - 1e-9)
    with pytest.raises(InputError, match="too few to search in"):
        SearchLimits(memory_bytes=10)


def test_where_results_are_large_the_way_home_may_lead_over_another_tier() -> None:
    """Block 3 is slow on all tiers but the middle one, whose results would cost more than what it hands on.

    A bound that sends results home from where the next block runs would prune the best plan, after a worse one that
    begins with a smaller block was found.
    """
    outputs = [5, 1, 1, 1]
    backbone = Backbone(
        "large-results", "none", 1000, 64, tuple(Block(f"b{i}", bits) for i, bits in enumerate(outputs))
    )
    still = np.zeros(4)
    timing = Timing(np.array([0.0, 0.0, 4.0, 0.0]), still, None, np.zeros(6), np.zeros(6))
    table = ExitTable(np.full((4, 2), 0.9), np.array([[False] * 2] * 3 + [[True] * 2]), np.zeros(2, np.int64))
    topology = Topology(
        "line", "near", "far", (Tier("near", 8), Tier("middle", 1), Tier("far", 8)), (Link(1.0, 0.0), Link(1.0, 0.0))
    )
    profile = Profile(backbone, {"one": timing}, "one", exit_table=table)
    for compiled in (False, True):
        planner = Planner.of(profile, topology, thresholds=[0.5], compiled=compiled)
        best = planner.frontier()[-1]
        assert str(best.plan) == "1-2@near 3@middle 4@far T=0.50"
        assert best.estimate.latency_s == 1 + 4 + 1


@pytest.mark.parametrize("compiled", [False, True])
def test_among_plans_that_tie_on_their_way_the_smallest_row_leads_on(compiled: bool) -> None:
    """Nobody exits before block 4, and all cuts before it cost the same: many ways lead to it at the same price."""
    blocks, level = 6, 0.5
    rates = np.array([[0.0, 0.0, 0.0, 0.5, 0.0, 0.5]])
    accuracy = np.array([0.25, 0.25, 0.25, 0.75, 0.75, 1.0])
    exits = ExitRates(np.array([level]), Meaning.FIRST_EXIT, rates, accuracy, 8)
    backbone = Backbone("ties", "none", 8, 8, tuple(Block(f"b{i}", 8) for i in range(blocks)))
    times = Timing(np.full(blocks, 0.5), np.zeros(blocks), None, np.zeros(blocks + 2), np.zeros(blocks + 2))
    tiers = (Tier("near", 1), Tier("middle", 1), Tier("far", 1))
    topology = Topology("line", "near", "far", tiers, (Link(8.0, 0.0), Link(8.0, 0.0)))
    world = World(Profile(backbone, {"one": times}, "one", exits=exits), topology)
    for limits in (Constraints(), Constraints(exits_per_tier=2), Constraints(required=frozenset({"near", "middle"}))):
        planner = Planner.of(world.profile, topology, compiled=compiled)
        found = planner.frontier(Requirement(constraints=limits))
        expected = frontier_by_trying(world, limits, Latency.MEAN, [level])
        assert [(m.estimate.latency_s, m.estimate.accuracy, m.plan.ends) for m in found] == [
            (value, right, ends) for value, right, ends, _, _ in expected
        ]
        assert [tuple(topology.index(name) for name in m.plan.placement) for m in found] == [
            tuple(places) for _, _, _, places, _ in expected
        ]
