"""Ties in numbers that round: in tenths of a millisecond the plans are those of the same world in whole numbers.

With times in seconds that are multiples of a power of two, sums are exact, and every plan can be tried. A
ten-thousandth of them is no such number: sums in different orders come out different by rounding, and what ties must be
found all the same.
"""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.constraints import Constraints
from offramp.core.estimate import Latency
from offramp.core.planner import Planner
from offramp.core.requirement import Requirement

from .test_space import cases, frontier_by_trying
from .worlds import World

UNIT = 1e-4


def scaled(world: World) -> World:
    """The same world with all times in another unit."""
    profile, topology = world.profile, world.topology
    timings = {
        device: replace(
            timing,
            block_s=None if timing.block_s is None else UNIT * timing.block_s,
            branch_s=None if timing.branch_s is None else UNIT * timing.branch_s,
            partition_s=None if timing.partition_s is None else UNIT * timing.partition_s,
            serialize_s=UNIT * timing.serialize_s,
            deserialize_s=UNIT * timing.deserialize_s,
        )
        for device, timing in profile.timings.items()
    }
    links = tuple(
        replace(link, bandwidth_bits_per_s=link.bandwidth_bits_per_s / UNIT, latency_s=link.latency_s * UNIT)
        for link in topology.links
    )
    return World(replace(profile, timings=timings), replace(topology, links=links))


def priced(limits: Constraints) -> Constraints:
    """The same limits, where a second costs what a unit of time did."""
    if limits.prices is None:
        return limits
    dearer = {name: price / UNIT for name, price in limits.prices.tier_s.items()}
    return replace(limits, prices=replace(limits.prices, tier_s=dearer))


@settings(max_examples=60, deadline=None)
@given(case=cases(), compiled=st.booleans())
def test_what_ties_exactly_ties_in_numbers_that_round(case: tuple[World, Constraints, Latency], compiled: bool) -> None:
    world, limits, latency = case
    thresholds = [0.0, 0.25, 0.5]
    if world.profile.exit_table is None:
        thresholds = world.profile.exits.thresholds.tolist()
    fine = scaled(world)
    planner = Planner.of(fine.profile, fine.topology, thresholds=thresholds, compiled=compiled)
    asked = Requirement(latency=latency, constraints=priced(limits))
    names = [tier.name for tier in world.topology.tiers]
    exact = frontier_by_trying(world, limits, latency, thresholds)

    def as_rows(plans):
        return [(each.plan.ends, tuple(map(names.index, each.plan.placement)), each.plan.thresholds) for each in plans]

    members = planner.frontier(asked)
    assert as_rows(members) == [tuple(map(tuple, member[2:])) for member in exact]
    for member, (value, accuracy, *_) in zip(members, exact, strict=True):
        assert latency.of(member.estimate) == pytest.approx(UNIT * value, rel=1e-12)
        # Of the plans that take just as long, the most accurate; of those as accurate, the fastest.
        if value > 0:
            quick = planner.best(replace(asked, min_accuracy=max(0.0, accuracy)))
            assert as_rows([quick.best]) == as_rows([member])
            sure = planner.best(replace(asked, max_latency_s=UNIT * value))
            assert as_rows([sure.best]) == as_rows([member])
