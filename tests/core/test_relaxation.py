"""What to give up: every relaxation works, is smallest, and names what conflicts."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.planner import Planner
from offramp.core.relaxation import _best_without, minimal_relaxations
from offramp.core.requirement import Requirement

from .test_space import constraints
from .worlds import World, worlds


@st.composite
def tight_cases(draw: st.DrawFn) -> tuple[World, Requirement]:
    world = draw(worlds(most_blocks=3, most_tiers=3))
    return world, Requirement(
        min_accuracy=draw(st.sampled_from([0.75, 1.0])),
        max_latency_s=draw(st.sampled_from([1, 8])),
        constraints=draw(constraints(world)),
    )


@settings(max_examples=150, deadline=None)
@given(case=tight_cases())
def test_relaxations_are_the_smallest_sets_that_help(case: tuple[World, Requirement]) -> None:
    world, requirement = case
    planner = Planner.of(world.profile, world.topology, compiled=True)
    relaxations = minimal_relaxations([planner], requirement)
    if planner.best(requirement).best is not None:
        assert relaxations == ()
        return
    stated = ["min_accuracy", "max_latency", *requirement.constraints.stated]
    sizes = {len(relaxation.given_up) for relaxation in relaxations}
    assert len(sizes) == 1, "giving up everything always helps, so there is a smallest size"
    (size,) = sizes
    # Nothing smaller helps, and of that size nothing is forgotten.
    for smaller in range(1, size):
        for names in itertools.combinations(stated, smaller):
            assert _best_without([planner], requirement, names)[0] is None
    helping = {
        names for names in itertools.combinations(stated, size) if _best_without([planner], requirement, names)[0]
    }
    assert {relaxation.given_up for relaxation in relaxations} == helping
    for relaxation in relaxations:
        assert "min_accuracy" in relaxation.given_up or relaxation.plan.estimate.accuracy >= requirement.min_accuracy
        assert "max_latency" in relaxation.given_up or relaxation.plan.estimate.latency_s <= requirement.max_latency_s
