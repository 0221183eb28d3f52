"""The performance model against sums written out by hand, and laws that hold for any numbers."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.backbone import Backbone, Block
from offramp.core.estimate import Estimate, EstimatedPlan, Latency, latencies_s
from offramp.core.exit_table import ExitTable
from offramp.core.exits import ExitModelName, exit_model, normalized_entropy
from offramp.core.latency import ComputeSource
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.profile import ExitRates, Meaning, Profile
from offramp.core.sampling import random_plan
from offramp.core.timing import Timing
from offramp.core.topology import Link, Tier, Topology
from offramp.errors import InputError

from . import oracle
from .worlds import World, worlds

# Three tiers in a line; the answers go back to the first. Blocks of 1, 2 and 4 s on the reference device.
LINE = Topology(
    name="line",
    source="watch",
    destination="watch",
    tiers=(Tier("watch", 8), Tier("phone", 2), Tier("cloud", 1)),
    links=(Link(bandwidth_bits_per_s=10, latency_s=1), Link(bandwidth_bits_per_s=100, latency_s=5)),
)
BACKBONE = Backbone("toy", "none", input_bits=100, result_bits=10, blocks=tuple(Block(f"b{i}", 200) for i in (1, 2, 3)))
TIMING = Timing(
    block_s=np.array([1.0, 2.0, 4.0]),
    branch_s=np.array([0.5, 0.25, 0.125]),
    partition_s=None,
    serialize_s=np.array([0.1, 0.2, 0.3, 0.4, 0.01]),
    deserialize_s=np.array([0.2, 0.4, 0.6, 0.8, 0.02]),
)
NO_TRAVEL = dataclasses.replace(TIMING, serialize_s=np.zeros(5), deserialize_s=np.zeros(5))
# Of 4 samples, branch 1 lets 1 and 2 go at T=0.5 (right, wrong), branch 2 lets 1 and 3 go (right, right).
TABLE = ExitTable(
    scores=np.array([[0.1, 0.5, 0.9, 0.9], [0.2, 0.9, 0.4, 0.8], [0.9, 0.9, 0.9, 0.9]]),
    correct=np.array([[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]], dtype=bool),
    label=np.zeros(4, np.int64),
)


def estimated(plan: str, *, topology: Topology = LINE, timing: Timing = NO_TRAVEL, **options: object) -> Estimate:
    profile = Profile(BACKBONE, {"ref": timing}, "ref", exit_table=TABLE)
    return Planner.of(profile, topology, **options).estimate(Plan.parse(plan)).estimate


def test_one_partition_on_the_source_only_computes() -> None:
    found = estimated("1-3@watch")
    assert found.latency_s == found.compute_s == 8 * (1 + 2 + 4 + 0.125)
    assert found.accuracy == 1.0
    assert found.exit_rates == (1.0,)
    assert found.stay_rates == (0.0,)


def test_one_partition_far_away_pays_for_the_input_and_the_result() -> None:
    found = estimated("1-2@cloud")
    assert found.compute_s == 1 + 2 + 0.25
    assert found.propagation_s == (1 + 5) + (1 + 5)
    assert found.transmission_s == pytest.approx((100 / 10 + 100 / 100) + (10 / 10 + 10 / 100))
    assert found.accuracy == 0.75


def test_early_exits_save_the_rest_of_the_way() -> None:
    # Samples 1 and 2 leave on the watch; 3 and 4 travel on and leave on the phone, whose answer comes back.
    found = estimated("1@watch 2-3@phone T=0.50")
    assert found.exit_rates == (0.5, 0.5)
    assert found.compute_s == 8 * (1 + 0.5) + 0.5 * 2 * (2 + 4 + 0.125)
    assert found.propagation_s == 0.5 * 1 + 0.5 * 1
    assert found.transmission_s == 0.5 * 200 / 10 + 0.5 * 10 / 10
    assert found.accuracy == (1 + 0 + 1 + 1) / 4
    assert found.exit_latency_s == (12.0, 12.0 + 1 + 20 + 2 * 6.125 + 1 + 1)


def test_the_placement_may_go_back_towards_the_device() -> None:
    found = estimated("1@cloud 2-3@phone T=0.00")
    # Nobody leaves early: input watch-cloud, activation cloud-phone, result phone-watch.
    assert found.propagation_s == 6 + 5 + 1
    assert found.transmission_s == pytest.approx((10 + 1) + 200 / 100 + 10 / 10)


def test_a_threshold_per_exit() -> None:
    found = estimated("1@watch 2@phone 3@cloud T=0.10,0.80")
    assert found.exit_rates == (0.25, 0.5, 0.25)  # sample 1; then 3 and 4; then 2
    assert found.accuracy == (1 + 1 + 0 + 1) / 4


def test_trimming_takes_everyone_at_the_last_branch_used() -> None:
    assert estimated("1@watch 2@phone T=0.50").exit_rates == (0.5, 0.5)


def test_source_and_destination_may_be_any_tier() -> None:
    topology = dataclasses.replace(LINE, source="phone", destination="cloud")
    found = estimated("1-3@watch", topology=topology)
    assert found.propagation_s == 1 + (1 + 5)
    assert found.transmission_s == pytest.approx(100 / 10 + (10 / 10 + 10 / 100))


def test_serialization_counts_at_both_ends_and_not_on_the_way() -> None:
    found = estimated("1-2@cloud", timing=TIMING)
    # The watch (8 times slower) packs the input and unpacks the result; the cloud does the reverse.
    assert found.serialization_s == pytest.approx(8 * 0.1 + 1 * 0.2 + 1 * 0.01 + 8 * 0.02)


def test_pipelined_transfer() -> None:
    # 100 bits leave the slow link after 10 s; the last 10 of them then cross the fast one. On the way back all 100
    # bits cross the fast link in 1 s, but the slow one starts when the first 30 have, and takes 10 s.
    topology = dataclasses.replace(LINE, mtu_bits=30, destination="cloud")
    assert estimated("1-3@cloud", topology=topology).transmission_s == pytest.approx(100 / 10 + 10 / 100)
    topology = dataclasses.replace(LINE, mtu_bits=30, source="cloud", destination="watch")
    assert estimated("1-3@watch", topology=topology).transmission_s == pytest.approx(30 / 100 + 100 / 10)


def test_compute_from_whole_partitions() -> None:
    timing = dataclasses.replace(NO_TRAVEL, partition_s=np.triu(np.full((3, 3), 6.0)))
    assert estimated("1-3@cloud", timing=timing).compute_s == 6.0
    assert estimated("1-3@cloud", timing=timing, compute=ComputeSource.BLOCKS).compute_s == 7.125


def test_a_tier_may_be_a_measured_device() -> None:
    tiers = (Tier("watch", device="ref"), *LINE.tiers[1:])
    assert estimated("1@watch", topology=dataclasses.replace(LINE, tiers=tiers)).compute_s == 1.5
    tiers = (Tier("watch", device="toaster"), *LINE.tiers[1:])
    with pytest.raises(InputError, match="no device 'toaster'; use one of ref"):
        estimated("1@watch", topology=dataclasses.replace(LINE, tiers=tiers))


def test_percentiles_count_samples() -> None:
    found = estimated("1@watch 2-3@phone T=0.50")
    assert found.percentile_s(50) == found.exit_latency_s[0]
    assert found.percentile_s(51) == found.percentile_s(99) == found.exit_latency_s[1]


def test_published_rates_are_first_exits_and_marginal_ones_are_not() -> None:
    profile = Profile(BACKBONE, {"ref": NO_TRAVEL}, "ref", exit_table=TABLE)
    published = exit_model(profile, ExitModelName.PUBLISHED, thresholds=[0.5])
    marginal = exit_model(profile, ExitModelName.MARGINAL, thresholds=[0.5])
    replay = exit_model(profile, ExitModelName.REPLAY)
    # By branch 2 samples 1, 2 and 3 have left; branch 2 alone would let 1 and 3 go.
    assert published.rates([2, 3], [0.5]).exit_rates == (0.75, 0.25)
    assert marginal.rates([2, 3], [0.5]).exit_rates == (0.5, 0.5)
    assert replay.rates([2, 3], [0.5]).exit_rates == (0.5, 0.5)
    # Accuracy is of each branch over all samples.
    assert published.rates([2, 3], [0.5]).accuracy == 0.75 * 0.75 + 0.25 * 1.0
    # Marginal rates can be negative: branch 1 lets two go, branch 2 no more than two.
    rates = ExitRates(
        np.array([0.5]), Meaning.MARGINAL, np.array([[0.75, 0.5, 1.0]]), np.array([0.5, 0.75, 1.0]), samples=4
    )
    profile = Profile(BACKBONE, {"ref": NO_TRAVEL}, "ref", exits=rates)
    assert exit_model(profile).rates([1, 2, 3], [0.5, 0.5]).exit_rates == (0.75, -0.25, 0.5)


def test_each_exit_model_says_what_it_lacks() -> None:
    rates = ExitRates(np.array([0.5]), Meaning.MARGINAL, np.array([[0.5, 1.0, 1.0]]), np.ones(3), samples=4)
    profile = Profile(BACKBONE, {"ref": NO_TRAVEL}, "ref", exits=rates)
    with pytest.raises(InputError, match="exit_table"):
        exit_model(profile, ExitModelName.REPLAY)
    with pytest.raises(InputError, match="needs exit rates of meaning first-exit"):
        exit_model(profile, ExitModelName.PUBLISHED)
    with pytest.raises(InputError, match=r"0\.4 was not measured; use one of 0\.5"):
        exit_model(profile).rates([1, 2], [0.4])
    with pytest.raises(InputError, match="one threshold for all exits"):
        exit_model(profile).rates([1, 2, 3], [0.5, 0.4])


def test_entropy_of_what_is_no_number_is_none() -> None:
    # Not zero, which would be certainty.
    assert np.isnan(normalized_entropy(np.array([np.nan, 0.5])))


def test_normalized_entropy() -> None:
    assert normalized_entropy(np.full((2, 10), 0.1)) == pytest.approx([1.0, 1.0])
    assert normalized_entropy(np.eye(4)) == pytest.approx(np.zeros(4))
    assert normalized_entropy(np.array([0.5, 0.5, 0, 0])) == pytest.approx(0.5)


@st.composite
def worlds_with_plans(draw: st.DrawFn) -> tuple[World, Plan]:
    world = draw(worlds())
    blocks, names = len(world.profile.backbone.blocks), [tier.name for tier in world.topology.tiers]
    parts = draw(st.integers(1, min(blocks, len(names))))
    ends = tuple(sorted(draw(st.permutations(range(1, blocks + 1)))[:parts]))
    placement = tuple(draw(st.permutations(names))[:parts])
    thresholds = [0.05] if world.profile.exits is None else world.profile.exits.thresholds.tolist()
    return world, Plan(ends, placement, (draw(st.sampled_from(thresholds)),) * (parts - 1))


@settings(max_examples=300, deadline=None)
@given(given=worlds_with_plans())
def test_an_estimate_is_what_adding_up_link_by_link_gives(given: tuple[World, Plan]) -> None:
    world, plan = given
    found = Planner.of(world.profile, world.topology).estimate(plan).estimate
    names = [tier.name for tier in world.topology.tiers]
    tiers = tuple(names.index(name) for name in plan.placement)
    threshold = plan.thresholds[0] if plan.thresholds else 0.05
    if world.profile.exits is not None and not plan.thresholds:
        threshold = float(world.profile.exits.thresholds[0])
    assert (found.latency_s, found.accuracy) == oracle.judged(
        world.profile, world.topology, plan.ends, tiers, threshold
    )
    assert found.exit_latency_s == tuple(
        oracle.one_way(world.profile, world.topology, plan.ends, tiers, k) for k in range(len(tiers))
    )


@settings(max_examples=200, deadline=None)
@given(given=worlds_with_plans())
def test_laws_of_an_estimate(given: tuple[World, Plan]) -> None:
    world, plan = given
    found = Planner.of(world.profile, world.topology).estimate(plan).estimate
    assert sum(found.exit_rates) == 1
    assert found.latency_s == found.compute_s + found.propagation_s + found.transmission_s + found.serialization_s
    # The mean over all samples is the mean over the exits they leave at.
    assert found.latency_s == sum(e * t for e, t in zip(found.exit_rates, found.exit_latency_s, strict=True))
    assert found.stay_rates[-1] == 0
    for (_, before), (rate, after) in itertools.pairwise(zip(found.exit_rates, found.stay_rates, strict=True)):
        assert before - rate == after
    if world.profile.exit_table is not None:
        assert min(found.exit_rates) >= 0
        assert found.percentile_s(100) == max(
            t for e, t in zip(found.exit_rates, found.exit_latency_s, strict=True) if e > 0
        )


def random_plans(world: World, *, seed: int, count: int) -> list[EstimatedPlan]:
    """Plans of several exits per tier, with their estimates; a threshold for each exit where the model knows that."""
    rng = np.random.default_rng(seed)
    planner = Planner.of(world.profile, world.topology)
    blocks, tiers = len(world.profile.backbone.blocks), [tier.name for tier in world.topology.tiers]
    plans = [
        random_plan(
            rng,
            partitions=int(rng.integers(1, min(blocks, 2 * len(tiers)) + 1)),
            blocks=blocks,
            tiers=tiers,
            thresholds=planner.exits.thresholds.tolist(),
            exits_per_tier=2,
            threshold_per_exit=world.profile.exit_table is not None,
        )
        for _ in range(count)
    ]
    return [planner.estimate(plan) for plan in plans]


def padded(rows: list[tuple[float, ...]], dtype: type) -> np.ndarray:
    width = max(map(len, rows)) + 1
    return np.array([(*row, *[0] * (width - len(row))) for row in rows], dtype)


@settings(max_examples=200, deadline=None)
@given(world=worlds(), seed=st.integers(0, 2**32 - 1))
def test_latencies_of_many_plans_are_those_of_their_estimates(world: World, seed: int) -> None:
    estimated = random_plans(world, seed=seed, count=8)
    exit_rates = [plan.estimate.exit_rates for plan in estimated]
    shares = min(rate for rates in exit_rates for rate in rates) >= 0
    for latency in Latency if shares else [Latency.MEAN]:
        together = latencies_s(
            padded([plan.plan.ends for plan in estimated], np.int64),
            padded([tuple(map(world.topology.index, plan.plan.placement)) for plan in estimated], np.int64),
            np.array([len(plan.plan.ends) for plan in estimated]),
            padded(exit_rates, np.float64),
            Planner.of(world.profile, world.topology).costs,
            latency,
        )
        assert together.tolist() == [latency.of(plan.estimate) for plan in estimated]


@given(
    seed=st.integers(0, 2**32 - 1),
    partitions=st.integers(1, 6),
    exits_per_tier=st.integers(1, 6),
    threshold_per_exit=st.booleans(),
)
def test_random_plans_keep_to_what_is_allowed(
    seed: int, partitions: int, exits_per_tier: int, threshold_per_exit: bool
) -> None:
    tiers, thresholds = ["watch", "phone", "cloud"], [0.1, 0.2, 0.3]
    partitions = min(partitions, 3 * exits_per_tier)
    plan = random_plan(
        np.random.default_rng(seed),
        partitions=partitions,
        blocks=6,
        tiers=tiers,
        thresholds=thresholds,
        exits_per_tier=exits_per_tier,
        threshold_per_exit=threshold_per_exit,
    )
    assert len(plan.ends) == partitions
    assert plan.ends[-1] <= 6
    runs = [(tier, len(list(run))) for tier, run in itertools.groupby(plan.placement)]
    assert len({tier for tier, _ in runs}) == len(runs)
    assert {tier for tier, _ in runs} <= set(tiers)
    assert max(count for _, count in runs) <= exits_per_tier
    assert set(plan.thresholds) <= set(thresholds)
    assert threshold_per_exit or len(set(plan.thresholds)) <= 1


def test_random_plans_reach_the_whole_space() -> None:
    rng = np.random.default_rng(0)
    drawn = {
        random_plan(rng, partitions=2, blocks=3, tiers=["watch", "phone"], thresholds=[0.5, 0.7], exits_per_tier=2)
        for _ in range(500)
    }
    # Three pairs of ends, four placements, two thresholds.
    assert len(drawn) == 3 * 4 * 2
