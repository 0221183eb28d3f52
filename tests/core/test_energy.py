"""Energy of answers against the way of every single sample by the clock, and the least of it against every plan."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from offramp.core.backbone import Backbone, Block
from offramp.core.constraints import Constraints
from offramp.core.energy import TierEnergy
from offramp.core.estimate import Latency
from offramp.core.exit_table import ExitTable
from offramp.core.feasible import is_feasible
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.profile import Profile
from offramp.core.relaxation import minimal_relaxations
from offramp.core.requirement import Objective, Requirement
from offramp.core.timing import Timing
from offramp.core.topology import Link, Tier, Topology
from offramp.errors import InputError

from . import oracle
from .worlds import World, with_energy, worlds

TERMS = [term.name for term in dataclasses.fields(TierEnergy)]
THRESHOLDS = [0.0, 0.25, 0.5]
# A tried plan: energy by tier and term, latency, accuracy, row.
Tried = tuple[dict[tuple[str, str], float], float, float, tuple]


@st.composite
def cases(draw: st.DrawFn, *, most_tiers: int = 3) -> tuple[World, Constraints]:
    world = draw(worlds(most_blocks=3, most_tiers=most_tiers))
    world = World(world.profile, draw(with_energy(world.topology)))
    assume(world.topology.has_energy)
    table = world.profile.exit_table is not None
    names = [tier.name for tier in world.topology.tiers]
    joules = st.sampled_from([0.0, 1.0, 4.0, 16.0, 64.0, 256.0])
    return world, Constraints(
        exits_per_tier=draw(st.integers(1, 2)),
        threshold_per_exit=table and draw(st.booleans()),
        required=frozenset(draw(st.sets(st.sampled_from(names), max_size=1))),
        max_energy_j=draw(st.dictionaries(st.sampled_from(names), joules, max_size=2)),
        max_total_energy_j=draw(st.none() | joules),
    )


def thresholds_of(world: World) -> list[float]:
    return THRESHOLDS if world.profile.exit_table is not None else world.profile.exits.thresholds.tolist()


def every_plan(world: World, rules: Constraints) -> list[Tried]:
    profile, topology, tried = world.profile, world.topology, []
    for ends, places, cuts in oracle.every_wide_plan(
        len(profile.backbone.blocks),
        len(topology.tiers),
        thresholds_of(world),
        exits_per_tier=rules.exits_per_tier,
        per_exit=rules.threshold_per_exit,
    ):
        if profile.exit_table is not None:
            rates, accuracy = oracle.replayed(profile.exit_table, ends, (*cuts, 1.0))
        else:
            rates, accuracy = oracle.from_rates(profile.exits, ends, cuts[0] if cuts else thresholds_of(world)[0])
        latency_s = sum(rate * oracle.one_way(profile, topology, ends, places, k) for k, rate in enumerate(rates))
        spent = oracle.energy(profile, topology, ends, places, rates)
        if rules.required <= {topology.tiers[j].name for j in places}:
            tried.append((spent, latency_s, accuracy, (len(ends), ends, places, cuts)))
    return tried


def within(spent: dict[tuple[str, str], float], rules: Constraints) -> bool:
    most_j = math.inf if rules.max_total_energy_j is None else rules.max_total_energy_j
    by_tier = {name: sum(spent[name, term] for term in TERMS) for name, _ in spent}
    return sum(by_tier.values()) <= most_j and all(by_tier[name] <= most for name, most in rules.max_energy_j.items())


def row_of(planner: Planner, plan: Plan) -> tuple:
    return len(plan.ends), plan.ends, tuple(map(planner.topology.index, plan.placement)), plan.thresholds


@settings(max_examples=80, deadline=None)
@given(case=cases(most_tiers=4))
def test_an_estimate_is_what_samples_spend_by_the_clock(case: tuple[World, Constraints]) -> None:
    world, rules = case
    planner = Planner.of(world.profile, world.topology, thresholds=thresholds_of(world))
    for spent, latency_s, _, (_, ends, places, cuts) in every_plan(
        world, dataclasses.replace(rules, required=frozenset())
    )[:60]:
        found = planner.estimate(Plan(ends, tuple(world.topology.tiers[j].name for j in places), cuts)).estimate
        assert found.latency_s == pytest.approx(latency_s)
        assert list(found.energy.tiers) == [tier.name for tier in world.topology.tiers]
        for name, tier in found.energy.tiers.items():
            for term in TERMS:
                assert getattr(tier, term) == pytest.approx(spent[name, term], abs=1e-12), (name, term)
        assert found.energy.total_j == pytest.approx(sum(spent.values()))


@settings(max_examples=60, deadline=None)
@given(
    case=cases(),
    floor=st.none() | st.integers(0, 8),
    limit=st.none() | st.sampled_from([1, 8, 32, 128, 512]),
    compiled=st.booleans(),
)
def test_the_plan_of_least_energy_is_that_of_trying_every_plan(
    case: tuple[World, Constraints], floor: int | None, limit: float | None, compiled: bool
) -> None:
    world, rules = case
    assume(floor is not None or limit is not None)
    planner = Planner.of(world.profile, world.topology, thresholds=thresholds_of(world), compiled=compiled)
    requirement = Requirement(None if floor is None else floor / 8, limit, minimize=Objective.ENERGY, constraints=rules)
    tried = [
        (sum(spent.values()), -accuracy, row)
        for spent, latency_s, accuracy, row in every_plan(world, rules)
        if within(spent, rules) and accuracy >= requirement.floor and latency_s <= requirement.limit
    ]
    best = planner.best(requirement).best
    if not tried:
        assert best is None
        return
    energy_j, wrong, row = min(tried)
    assert (best.estimate.energy.total_j, best.estimate.accuracy) == (energy_j, -wrong)
    assert row_of(planner, best.plan) == row
    assert requirement.met_by(best.estimate)
    assert is_feasible(planner, best, rules)


@settings(max_examples=60, deadline=None)
@given(case=cases(), limit=st.none() | st.sampled_from([8, 64, 512]), compiled=st.booleans())
def test_the_frontier_of_energy_is_that_of_trying_every_plan(
    case: tuple[World, Constraints], limit: float | None, compiled: bool
) -> None:
    world, rules = case
    planner = Planner.of(world.profile, world.topology, thresholds=thresholds_of(world), compiled=compiled)
    requirement = Requirement(None, limit, minimize=Objective.ENERGY, constraints=rules)
    members, best = [], -math.inf
    for energy_j, wrong, row in sorted(
        (sum(spent.values()), -accuracy, row)
        for spent, latency_s, accuracy, row in every_plan(world, rules)
        if within(spent, rules) and latency_s <= requirement.limit
    ):
        if -wrong > best:
            best = -wrong
            members.append((energy_j, best, row))
    found = planner.frontier(requirement)
    assert [
        (plan.estimate.energy.total_j, plan.estimate.accuracy, row_of(planner, plan.plan)) for plan in found
    ] == members


@settings(max_examples=80, deadline=None)
@given(case=cases(), latency=st.sampled_from([Latency.MEAN, Latency.P50, Latency.P95]), compiled=st.booleans())
def test_the_fastest_within_limits_on_energy_is_that_of_trying_every_plan(
    case: tuple[World, Constraints], latency: Latency, compiled: bool
) -> None:
    world, rules = case
    if world.profile.exit_table is None:
        latency = Latency.MEAN
    planner = Planner.of(world.profile, world.topology, thresholds=thresholds_of(world), compiled=compiled)
    tried = []
    for spent, latency_s, accuracy, row in every_plan(world, rules):
        if within(spent, rules):
            _, ends, places, cuts = row
            if latency is not Latency.MEAN:
                rates, _ = oracle.replayed(world.profile.exit_table, ends, (*cuts, 1.0))
                times = [oracle.one_way(world.profile, world.topology, ends, places, k) for k in range(len(ends))]
                latency_s = oracle.percentile(rates, times, latency.value)
            tried.append((latency_s, -accuracy, row))
    best = planner.best(Requirement(0.0, None, latency, constraints=rules)).best
    if not tried:
        assert best is None
        return
    assert (latency.of(best.estimate), -best.estimate.accuracy, row_of(planner, best.plan)) == min(tried)


@settings(max_examples=50, deadline=None)
@given(case=cases())
def test_what_is_allowed_is_what_the_limits_say(case: tuple[World, Constraints]) -> None:
    world, rules = case
    planner = Planner.of(world.profile, world.topology, thresholds=thresholds_of(world))
    for spent, _, _, (_, ends, places, cuts) in every_plan(world, rules)[:100]:
        estimated = planner.estimate(Plan(ends, tuple(world.topology.tiers[j].name for j in places), cuts))
        assert is_feasible(planner, estimated, rules) == within(spent, rules), estimated.plan


@settings(max_examples=60, deadline=None)
@given(case=cases(), floor=st.integers(0, 8), limit=st.sampled_from([0.25, 1, 8, 64]))
def test_what_to_give_up_leaves_a_plan(case: tuple[World, Constraints], floor: int, limit: float) -> None:
    world, rules = case
    planner = Planner.of(world.profile, world.topology, thresholds=thresholds_of(world))
    requirement = Requirement(floor / 8, limit, minimize=Objective.ENERGY, constraints=rules)
    relaxations = minimal_relaxations([planner], requirement)
    assert bool(relaxations) == (planner.best(requirement).best is None)
    for relaxation in relaxations:
        kept = {"min_accuracy", "max_latency"} - set(relaxation.given_up)
        predicted = relaxation.plan.estimate
        assert "min_accuracy" not in kept or predicted.accuracy >= requirement.floor
        assert "max_latency" not in kept or predicted.latency_s <= requirement.limit


# By hand: a watch of 2 W (0.5 W idle) that a radio of 1 W with a tail of 3 s joins to a phone of 4 W.
BY_HAND = Topology(
    name="hand",
    source="watch",
    destination="watch",
    tiers=(Tier("watch", 8, power_w=2, idle_w=0.5), Tier("phone", 1, power_w=4, idle_w=9)),
    links=(Link(100, 1, send_j_per_bit=0.01, receive_j_per_bit=0.002, radio_w=1, tail_s=3),),
)
HALF_EXITS = ExitTable(np.array([[0.1, 0.9], [0.1, 0.1]]), np.ones((2, 2), bool), np.zeros(2, np.int64))
PROFILE = Profile(
    Backbone("toy", "none", input_bits=1000, result_bits=100, blocks=(Block("a", 200), Block("b", 200))),
    {"ref": Timing(np.array([1.0, 2.0]), np.array([0.0, 0.0]), None, np.zeros(4), np.zeros(4))},
    "ref",
    exit_table=HALF_EXITS,
)


def test_by_hand() -> None:
    found = Planner.of(PROFILE, BY_HAND).estimate(Plan.parse("1@watch 2@phone T=0.50")).estimate
    watch, phone = found.energy.tiers.values()
    # Half of the samples go on after 8 s: 3 s there (200 bits), 2 s of work, 2 s back (100 bits).
    assert watch.compute_j == 2 * 8
    assert watch.waiting_j == 0.5 * 0.5 * (3 + 2 + 2)
    assert watch.sending_j == pytest.approx(0.5 * (200 * 0.01 + 100 * 0.002))
    assert (watch.radio_j, watch.tail_j) == (0.5 * 1 * 7, 0.5 * 1 * 3)
    assert phone.compute_j == 0.5 * 4 * 2
    assert phone.sending_j == pytest.approx(0.5 * (200 * 0.002 + 100 * 0.01))
    assert (phone.waiting_j, phone.radio_j, phone.tail_j) == (0, 0, 0)
    assert found.energy.total_j == pytest.approx(sum(tier.total_j for tier in (watch, phone)))


def test_who_never_leaves_the_source_switches_no_radio_on() -> None:
    watch = Planner.of(PROFILE, BY_HAND).estimate(Plan.parse("1-2@watch")).estimate.energy.tiers["watch"]
    assert watch == TierEnergy(compute_j=2 * 24)


def test_a_topology_without_powers_has_no_energy() -> None:
    bare = Topology("bare", "a", "a", (Tier("a", 1), Tier("b", 1)), (Link(1e6, 0.0),))
    planner = Planner.of(PROFILE, bare)
    assert planner.estimate(Plan.parse("1-2@a")).estimate.energy is None
    with pytest.raises(InputError, match="minimize: topology bare gives neither powers"):
        planner.best(Requirement(0.5, minimize=Objective.ENERGY))
    with pytest.raises(InputError, match="max_energy: topology bare gives neither powers"):
        planner.best(Requirement(0.5, constraints=Constraints(max_total_energy_j=1.0)))


def test_a_limit_on_a_tier_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="no tier 'moon'"):
        Planner.of(PROFILE, BY_HAND).best(Requirement(0.5, constraints=Constraints(max_energy_j={"moon": 1.0})))


def test_least_energy_goes_with_the_mean_alone() -> None:
    with pytest.raises(InputError, match="latency: is p99, and the plan of least energy is known for the mean alone"):
        Requirement(0.5, 1.0, Latency.P99, minimize=Objective.ENERGY)


@settings(max_examples=60, deadline=None)
@given(case=cases(), floor=st.integers(0, 8), tighter=st.sampled_from([0.25, 0.5, 0.9]))
def test_a_tighter_limit_never_saves_energy(case: tuple[World, Constraints], floor: int, tighter: float) -> None:
    world, rules = case
    planner = Planner.of(world.profile, world.topology, thresholds=thresholds_of(world))
    free = planner.best(Requirement(floor / 8, minimize=Objective.ENERGY, constraints=rules)).best
    if free is None or free.estimate.latency_s == 0:
        return
    limit = tighter * free.estimate.latency_s
    bound = planner.best(Requirement(floor / 8, limit, minimize=Objective.ENERGY, constraints=rules)).best
    assert bound is None or bound.estimate.energy.total_j >= free.estimate.energy.total_j


def test_a_source_in_the_middle_keeps_the_radio_it_first_switched_on() -> None:
    """A plan that starts on one side pays that side's radio to the end, also on the other side."""
    topology = Topology(
        name="middle",
        source="b",
        destination="b",
        tiers=(Tier("a", 1, power_w=1), Tier("b", 64, power_w=1), Tier("c", 1, power_w=1)),
        links=(Link(1e3, 0.0, radio_w=8, tail_s=1), Link(1e3, 0.0, radio_w=0.125, tail_s=1)),
    )
    planner = Planner.of(PROFILE, topology)
    for first, second in itertools.permutations(("a", "c")):
        found = planner.estimate(Plan.parse(f"1@{first} 2@{second} T=0.50")).estimate
        radio_w = {"a": 8, "c": 0.125}[first]
        assert found.energy.tiers["b"].radio_j == pytest.approx(radio_w * found.latency_s)
    best = planner.best(Requirement(1.0, minimize=Objective.ENERGY)).best
    assert str(best.plan) == "1@c"


@settings(max_examples=60, deadline=None)
@given(case=cases(), floor=st.integers(0, 8))
def test_an_ended_search_knows_a_bound_on_the_least_energy(case: tuple[World, Constraints], floor: int) -> None:
    world, rules = case
    planner = Planner.of(world.profile, world.topology, thresholds=thresholds_of(world), compiled=False)
    requirement = Requirement(floor / 8, minimize=Objective.ENERGY, constraints=rules)
    best = planner.best(requirement).best
    ended = planner.best(requirement, np.ones(1, np.bool_))
    if best is None or ended.gap is None:
        return
    assert ended.gap.latency_s == 0
    found_j = math.inf if ended.best is None else ended.best.estimate.energy.total_j
    assert min(found_j, ended.gap.energy_j) <= best.estimate.energy.total_j
