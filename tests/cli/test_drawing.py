"""What the terminal draws is what the plan says, for any plan on any topology."""

import functools
import io
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from offramp.cli.drawing import MOST_COLUMNS, lines, print_frontier, print_placement, thinned
from offramp.core.estimate import EstimatedPlan
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.requirement import Requirement
from offramp.files import read_profile, read_topology
from offramp.view.placement import Placement
from offramp.view.text import seconds
from tests.core import worlds


@st.composite
def drawings(draw: st.DrawFn) -> tuple[Planner, EstimatedPlan]:
    world = draw(worlds.worlds())
    planner = Planner.of(world.profile, world.topology)
    blocks = len(world.profile.backbone.blocks)
    order = draw(st.permutations([tier.name for tier in world.topology.tiers]))
    visits = [name for name in order for _ in range(draw(st.integers(1, 2)))]
    parts = draw(st.integers(1, min(len(visits), blocks)))
    ends = tuple(sorted(draw(st.permutations(range(1, blocks + 1)))[:parts]))
    level = float(planner.exits.thresholds[0])
    return planner, planner.estimate(Plan(ends, tuple(visits[:parts]), (level,) * (parts - 1)))


@settings(deadline=None, max_examples=60)
@given(drawings())
def test_the_path_of_the_samples_is_the_plans(drawn: tuple[Planner, EstimatedPlan]) -> None:
    planner, estimated = drawn
    drawing = Placement.of(planner.topology, estimated)
    owner = list(
        itertools.accumulate((row.tier and row.tier.name for row in drawing.rows), lambda before, name: name or before)
    )
    assert [row.tier.name for row in drawing.rows if row.tier] == [tier.name for tier in planner.topology.tiers]
    # Following the hops from the first stop visits the source, then the plan's tiers in the plan's order.
    ends = [drawing.hops[0].start, *(hop.end for hop in drawing.hops)] if drawing.hops else []
    assert all(a.end == b.start for a, b in itertools.pairwise(drawing.hops))
    way = [owner[i] for i in ends] or [owner[i] for i, row in enumerate(drawing.rows) if row.active]
    source = planner.topology.source
    arrives = [] if estimated.plan.placement[0] == source else [source]
    assert way == [*arrives, *estimated.plan.placement]
    shares = [hop.share for hop in drawing.hops]
    assert shares == [*([1.0] if arrives else []), *estimated.estimate.stay_rates[:-1]]
    assert sum(row.partition is not None for row in drawing.rows) == len(estimated.plan.ends)


@settings(deadline=None, max_examples=60)
@given(drawings())
def test_no_two_paths_cross_each_other(drawn: tuple[Planner, EstimatedPlan]) -> None:
    planner, estimated = drawn
    drawing = Placement.of(planner.topology, estimated)
    for one, other in itertools.combinations(drawing.hops, 2):
        if one.lane == other.lane:
            assert len(set(one.rows) & set(other.rows)) <= (one.lane == 0), lines(drawing)
    for hop in drawing.hops:
        if hop.lane == 0:
            assert not any(drawing.rows[i].partition is not None for i in hop.rows[1:-1])
    assert all(len(line) <= MOST_COLUMNS for line in lines(drawing))


@functools.cache
def shown(text: str) -> tuple[Planner, EstimatedPlan]:
    planner = Planner.of(read_profile("resnet20-digits"), read_topology("mobile"))
    return planner, planner.estimate(Plan.parse(text))


def printed(planner: Planner, estimated: EstimatedPlan, *, encoding: str, color: bool = False) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, force_terminal=color, width=100)
    print_placement(console, planner.topology, estimated)
    print_frontier(console, planner.frontier(), estimated, Requirement(min_accuracy=0.9))
    file.flush()
    return file.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


def test_a_plan_down_the_line() -> None:
    planner, estimated = shown("1-7@smartphone 8-9@base-station T=0.35")
    drawn = lines(Placement.of(planner.topology, estimated))
    assert [line[:26].rstrip() for line in drawn] == [
        "smartwatch         ○  sour",
        "│ 500 kb/s, 6 ms   │",
        "smartphone         ■  1-7",
        "│ 10 Mb/s, 40 ms   │",
        "base-station       ■  8-9",
        "│ 500 Mb/s, 50 ms",
        "cloud",
    ]
    assert (
        f"{100 * estimated.estimate.exit_rates[0]:.2f} % exit after {seconds(estimated.estimate.exit_latency_s[0])}"
        in drawn[2]
    )
    assert f"{100 * estimated.estimate.stay_rates[0]:.2f} % continue" in drawn[2]
    assert "continue" not in drawn[4]


def test_a_plan_that_goes_back() -> None:
    planner, estimated = shown("1@smartphone 2@cloud 3@base-station T=0.3")
    assert [line[19:27].rstrip() for line in lines(Placement.of(planner.topology, estimated))] == [
        "○      s",
        "│",
        "■─╮    1",
        "  │",
        "■◀│─╮  3",
        "  │ │",
        "■◀╯─╯  2",
    ]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_where_the_encoding_knows_no_boxes_plain_characters_do(encoding: str) -> None:
    planner, estimated = shown("1@smartphone 2@cloud 3@base-station T=0.3")
    text = printed(planner, estimated, encoding=encoding)
    assert ("■" in text) == (encoding == "utf-8")
    assert ("#" in text) == (encoding != "utf-8")
    assert max(map(len, text.splitlines())) <= MOST_COLUMNS
    assert "\x1b" not in text


def test_no_color_means_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    planner, estimated = shown("1-6@smartphone")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[2m" in printed(planner, estimated, encoding="utf-8", color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    text = printed(planner, estimated, encoding="utf-8", color=True)
    assert not any(f"\x1b[{code}m" in text for code in range(30, 50))


@given(st.integers(2, 60), st.integers(0, 59), st.integers(3, 12))
def test_a_thinned_frontier_keeps_its_ends_and_the_plan_in_question(count: int, at: int, most: int) -> None:
    _, estimated = shown("1-6@smartphone")
    members = [EstimatedPlan(Plan((n,), ("cloud",), ()), estimated.estimate) for n in range(1, count + 1)]
    wanted = members[at % count]
    kept = thinned(members, wanted, most)
    assert len(kept) == min(count, most)
    assert {members[0], members[-1], wanted} <= set(kept)
    assert kept == sorted(kept, key=members.index)
