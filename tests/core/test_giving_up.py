"""What to give up, against trying every plan in every codec: nothing smaller would do, and nothing is forgotten."""

import itertools
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.codec import Codec
from offramp.core.planner import Planner
from offramp.core.profile import Profile
from offramp.core.requirement import Requirement
from offramp.pipeline.solve import solve_among

from . import oracle
from .test_codec_planning import encoded_worlds
from .test_space import allowed, constraints
from .worlds import World


@st.composite
def hard_cases(draw: st.DrawFn) -> tuple[World, Codec, Profile, Requirement]:
    world, codec, plain = draw(encoded_worlds())
    return (
        world,
        codec,
        plain,
        Requirement(
            min_accuracy=draw(st.none() | st.sampled_from([0.5, 0.75, 1.0])),
            max_latency_s=draw(st.sampled_from([0.5, 2, 8])),
            # Memory holds activations as they are computed, not as they travel: its own test is `test_space`.
            constraints=replace(draw(constraints(world)), memory_bits={}),
            codecs=(Codec.FP32, codec),
        ),
    )


def keeps(names: tuple[str, ...], asked: Requirement, world: World, *plan: Any) -> bool:
    """Whether a plan of that world meets all that is asked but what is named."""
    ends, places, rates, accuracy, latency_s = plan
    rules = asked.constraints
    for name in names:
        if name not in ("min_accuracy", "max_latency"):
            rules = rules.without(name)
    return (
        ("min_accuracy" in names or asked.min_accuracy is None or accuracy >= asked.min_accuracy)
        and ("max_latency" in names or latency_s <= asked.max_latency_s)
        and allowed(world, rules, ends, places, rates)
    )


def every_plan(world: World) -> list[tuple[Any, ...]]:
    """(ends, places, exit rates, accuracy, mean latency) of all plans of a world."""
    profile, topology = world.profile, world.topology
    thresholds = [0.05 * k for k in range(20)] if profile.exits is None else profile.exits.thresholds.tolist()
    found = []
    for ends, places, threshold in oracle.every_plan(len(profile.backbone.blocks), len(topology.tiers), thresholds):
        if profile.exit_table is not None:
            rates, accuracy = oracle.replayed(profile.exit_table, ends, (round(threshold, 2),) * len(ends))
        else:
            rates, accuracy = oracle.from_rates(profile.exits, ends, threshold)
        latency = sum(rate * oracle.one_way(profile, topology, ends, places, k) for k, rate in enumerate(rates))
        found.append((ends, places, rates, accuracy, latency))
    return found


@settings(max_examples=40, deadline=None)
@given(case=hard_cases(), frontier=st.booleans())
def test_nothing_smaller_could_be_given_up_in_any_codec(
    case: tuple[World, Codec, Profile, Requirement], frontier: bool
) -> None:
    world, codec, encoded, asked = case
    backbone, more = world.profile.backbone, world.profile.overhead_bits
    plain = replace(
        world.profile,
        backbone=replace(
            backbone,
            input_bits=backbone.input_bits + more,
            result_bits=backbone.result_bits + more,
            blocks=tuple(replace(block, output_bits=block.output_bits + more) for block in backbone.blocks),
        ),
        codecs={},
        overhead_bits=0,
    )
    worlds_by_codec = {Codec.FP32: World(plain, world.topology), codec: World(encoded, world.topology)}
    every = [(each, *plan) for each in worlds_by_codec.values() for plan in every_plan(each)]
    stated = [
        name
        for name, value in (("min_accuracy", asked.min_accuracy), ("max_latency", asked.max_latency_s))
        if value is not None
    ]
    stated += asked.constraints.stated
    helping: set[tuple[str, ...]] = set()
    for size in range(len(stated) + 1):
        helping = {
            names
            for names in itertools.combinations(stated, size)
            if any(keeps(names, asked, each, *plan) for each, *plan in every)
        }
        if helping:
            break
    planners = [Planner.of(world.profile, world.topology, codec=each) for each in worlds_by_codec]
    answer = solve_among(world.profile, planners, asked, frontier=frontier)
    assert answer.met == (helping == {()})
    assert {each.given_up for each in answer.relaxations} == helping - {()}
