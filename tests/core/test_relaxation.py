"""What to give up: every way out works, is smallest, and names what conflicts."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.planner import Options, Planner, Requirement
from offramp.core.relaxation import _without, minimal_relaxations

from .test_space import constraints
from .worlds import World, worlds


@st.composite
def tight_cases(draw: st.DrawFn) -> tuple[World, Options, Requirement]:
    world = draw(worlds(most_blocks=3, most_tiers=3))
    requirement = Requirement(
        min_accuracy=draw(st.sampled_from([0.75, 1.0])), max_latency_s=draw(st.sampled_from([1, 8]))
    )
    return world, Options(constraints=draw(constraints(world))), requirement


@settings(max_examples=150, deadline=None)
@given(case=tight_cases())
def test_ways_out_are_the_smallest_sets_that_help(case: tuple[World, Options, Requirement]) -> None:
    world, options, requirement = case
    planner = Planner.of(world.profile, world.topology, options=options, compiled=True)
    ways = minimal_relaxations(planner, requirement)
    if planner.best(requirement).best is not None:
        assert ways == ()
        return
    stated = ["min_accuracy", "max_latency", *options.constraints.stated]
    sizes = {len(way.given_up) for way in ways}
    assert len(sizes) == 1, "giving up everything always helps, so there is a smallest size"
    (size,) = sizes
    # Nothing smaller helps, and of that size nothing is forgotten.
    for smaller in range(1, size):
        for names in itertools.combinations(stated, smaller):
            assert _without(planner, requirement, names) is None
    helping = {names for names in itertools.combinations(stated, size) if _without(planner, requirement, names)}
    assert {way.given_up for way in ways} == helping
    for way in ways:
        assert "min_accuracy" in way.given_up or way.plan.estimate.accuracy >= requirement.min_accuracy
        assert "max_latency" in way.given_up or way.plan.estimate.latency_s <= requirement.max_latency_s
