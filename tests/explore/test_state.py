"""What is asked, and its way to a URL and back. Queries are anyone's: none may do more than be refused in words."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp import Constraints, InputError, Latency, Plan
from offramp.core.requirement import Requirement
from offramp.explore.state import MOST_PINS, State
from offramp.sweeps.grid import parameters
from tests.explore.worlds import explorer

BASE = explorer().base


def read(query: str) -> tuple[State, tuple[str, ...]]:
    return explorer().from_query(query)


def test_the_first_state_needs_no_query() -> None:
    assert BASE.query(BASE) == ""
    assert read("") == (BASE, ())


def test_a_state_is_read_from_its_query_as_it_was() -> None:
    topology = BASE.topology
    known = parameters(topology)
    for path, value in {"links[0].bandwidth": 1234567.0, "links[2].latency": 0.0333, "tiers[1].slowdown": 7.25}.items():
        topology = known[path].at(topology, value)
    state = State(
        topology=replace(topology, source="smartphone", destination="cloud"),
        requirement=Requirement(
            0.9123, 0.0815, Latency.P95, constraints=Constraints(exits_per_tier=3, threshold_per_exit=True)
        ),
        threshold=0.35,
        axes=("links[2].bandwidth", "tiers[3].slowdown"),
        pins=(Plan.parse("1-3@smartphone 4-10@cloud T=0.50"), Plan.parse("1-10@cloud")),
    )
    assert read(state.query(BASE)) == (state, ())


@given(
    st.sampled_from(sorted(parameters(BASE.topology))),
    st.floats(min_value=1e-3, max_value=1e5, allow_subnormal=False),
)
def test_any_number_survives_the_way(path: str, value: float) -> None:
    scale = {"bandwidth": 1e6, "latency": 1e-3, "slowdown": 1.0}[path.rpartition(".")[2]]
    state = replace(BASE, topology=parameters(BASE.topology)[path].at(BASE.topology, value * scale))
    assert read(state.query(BASE)) == (state, ())


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("links[0].bandwidth=fast", "'fast' is not a rate"),
        ("links[0].bandwidth=5", "has no unit"),
        ("links[0].bandwidth=1e300+b/s", "out of range"),
        ("links[9].bandwidth=5+Mb/s", "nothing that can be set"),
        ("tiers[0].slowdown=nan", "out of range"),
        ("tiers[0].slowdown=-1", "out of range"),
        ("source=moon", "'moon' is unknown"),
        ("min-accuracy=2", "outside 0 % to 100 %"),
        ("min-accuracy=nan", "outside 0 % to 100 %"),
        ("max-latency=soon", "'soon' is not a time"),
        ("max-latency=-1+s", "out of range"),
        ("latency=p42", "'p42' is unknown"),
        ("exits-per-tier=1000000", "'1000000' is unknown"),
        ("threshold=x", "'x' is not a threshold"),
        ("map=links[0].bandwidth,links[0].bandwidth", "the same parameter twice"),
        ("pin=1-99@cloud", "backbone with 10"),
        ("pin=1@moon", "no tier 'moon'"),
        ("pin=1-3@cloud+codec%3Dint8", "travels as int8"),
        ("pin=" + "9" * 5000 + "@cloud", "is not a partition"),
        ("<script>alert(1)</script>=1", "nothing that can be set"),
    ],
)
def test_what_cannot_be_used_is_said_and_changes_nothing(query: str, said: str) -> None:
    state, refused = read(query)
    assert state == BASE
    assert len(refused) == 1
    assert said in refused[0]
    assert len(refused[0]) < 1000


def test_the_rest_of_a_query_counts_though_one_entry_is_wrong() -> None:
    state, refused = read("source=moon&min-accuracy=0.9&=&x")
    assert state == replace(BASE, requirement=replace(BASE.requirement, min_accuracy=0.9))
    assert len(refused) == 3


@given(st.text(max_size=200))
def test_no_query_raises(query: str) -> None:
    state, _ = read(query)
    assert isinstance(state, State)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*parameters(BASE.topology), "source", "min-accuracy", "max-latency", "threshold", "pin"]),
            st.one_of(
                st.text(max_size=30), st.floats().map(str), st.sampled_from(["1e999 b/s", "9" * 400, "0 s", "nan"])
            ),
        ),
        max_size=6,
    )
)
def test_no_entry_raises_anything_but_words(entries: list[tuple[str, str]]) -> None:
    for key, text in entries:
        with suppress(InputError):
            explorer().entered(BASE, key, text)


def test_floors_are_read_in_percent_exactly() -> None:
    assert explorer().entered(BASE, "min-accuracy", "97.56 %").requirement.min_accuracy == 0.9756
    assert explorer().entered(BASE, "min-accuracy", "0.9756").requirement.min_accuracy == 0.9756
    assert explorer().entered(BASE, "min-accuracy", "none").requirement.min_accuracy is None


def test_pins_come_and_go_and_the_oldest_makes_place() -> None:
    plans = [Plan.parse(f"1-{end}@cloud") for end in range(1, MOST_PINS + 2)]
    state = BASE
    for plan in plans:
        state = state.pinned(plan)
    assert state.pins == tuple(plans[1:])
    assert state.pinned(plans[2]).pins == (plans[1], *plans[3:])


def test_which_latency_is_meant_counts_beside_a_floor_or_a_limit_alone() -> None:
    state = explorer().entered(BASE, "latency", "p95")
    assert state.asked == state.requirement
    without = explorer().entered(state, "min-accuracy", "none")
    assert without.requirement.latency is Latency.P95
    assert without.asked == Requirement()
