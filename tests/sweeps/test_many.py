"""Many plans at once are the plans found one by one; what is wrong is told with its place."""

import dataclasses
import itertools
import json
import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from offramp.cli.app import app
from offramp.core.backbone import Backbone, Block
from offramp.core.constraints import UNCONSTRAINED, Constraints
from offramp.core.exit_table import ExitTable
from offramp.core.exits import ExitModelName
from offramp.core.planner import Planner
from offramp.core.profile import Profile
from offramp.core.requirement import Requirement
from offramp.core.search_result import Gap, SearchResult
from offramp.core.timing import Timing
from offramp.core.topology import Tier, Topology
from offramp.errors import InputError, MissingExtraError
from offramp.files import read_topology, write_profile
from offramp.sweeps.grid import VariedTopology, grid, parameters
from offramp.sweeps.many import PlannedTopology, best_answer, plan_many, write_parquet
from offramp.sweeps.regimes import UNMET, RegimeMap, regime
from offramp.view.drawing import save_figure
from tests.core.worlds import World, worlds

MOBILE = read_topology("mobile")
FLOOR = Requirement(min_accuracy=0.9)


def made_up(*, blocks: int = 6, samples: int = 64) -> Profile:
    random = np.random.default_rng(5)
    depth = np.arange(1, blocks + 1)[:, None] / blocks
    sureness = 2 * depth + random.normal(size=(blocks, samples))
    return Profile(
        Backbone("toy", "none", 24576, 320, tuple(Block(f"b{i}", 200_000 >> 2 * i) for i in range(blocks))),
        {"ref": Timing(np.full(blocks, 5e-3), np.full(blocks, 1e-4), None, np.zeros(blocks + 2), np.zeros(blocks + 2))},
        "ref",
        exit_table=ExitTable(1 / (1 + np.exp(sureness)), sureness > 0.5, np.zeros(samples, np.int64)),
    )


PROFILE = made_up()


def facts(row: PlannedTopology) -> tuple:
    return row.varied, row.estimated, row.meets


def test_where_the_limits_ended_a_search_the_row_says_so() -> None:
    whole = Planner.of(PROFILE, MOBILE).best(FLOOR)
    ended = dataclasses.replace(whole, gap=Gap(latency_s=0.0, accuracy=1.0))
    varied = VariedTopology(MOBILE)
    assert best_answer(varied, [whole, whole], FLOOR).reason == ""
    row = best_answer(varied, [whole, ended], FLOOR)
    assert (row.estimated, row.meets) == (whole.best, True)
    assert row.reason == "the search was ended by its limits"
    nothing = SearchResult(best=None, gap=ended.gap)
    assert best_answer(varied, [nothing], FLOOR).reason == row.reason
    assert best_answer(varied, [SearchResult(best=None)], FLOOR).reason == "the constraints allow no plan"


@pytest.mark.parametrize("exits", ExitModelName)
@pytest.mark.parametrize("workers", [1, 3])
def test_many_plans_are_those_found_one_by_one(exits: ExitModelName, workers: int) -> None:
    wanted = grid(MOBILE, vary={"links[0].bandwidth": "100kb/s..10Mb/s", "tiers[0].slowdown": [1, 30, 900]}, steps=20)
    rows = list(plan_many(PROFILE, wanted, FLOOR, exits=exits, workers=workers))
    assert len(rows) == len(wanted) == 60
    for row, setting in zip(rows, wanted, strict=True):
        answer = Planner.of(PROFILE, setting.topology, exits=exits).best(FLOOR)
        assert facts(row) == (setting, answer.best or answer.nearest, answer.best is not None)
    assert len({str(row.estimated.plan) for row in rows}) > 1


def changed(topology: Topology, data: st.DataObject) -> Topology:
    """The same line with some other bandwidths, latencies, slowdowns and ends."""
    factor = st.sampled_from([0.25, 0.5, 1.0, 3.0, 7.0])
    links = [
        dataclasses.replace(
            link,
            bandwidth_bits_per_s=link.bandwidth_bits_per_s * data.draw(factor),
            latency_s=link.latency_s * data.draw(factor),
        )
        for link in topology.links
    ]
    tiers = [
        tier if tier.slowdown is None else dataclasses.replace(tier, slowdown=tier.slowdown * data.draw(factor))
        for tier in topology.tiers
    ]
    ends = st.sampled_from([tier.name for tier in topology.tiers])
    mtu = data.draw(st.sampled_from([None, 3.0]))
    return Topology("changed", data.draw(ends), data.draw(ends), tuple(tiers), tuple(links), mtu)


@settings(max_examples=100, deadline=None)
@given(world=worlds(), data=st.data())
def test_planned_again_is_planned_afresh(world: World, data: st.DataObject) -> None:
    topology = changed(world.topology, data)
    afresh = Planner.of(world.profile, topology, compiled=False)
    again = Planner.of(world.profile, world.topology, compiled=False).on(topology)
    assert again.frontier() == afresh.frontier()
    for name in ("compute_s", "propagation_s", "transmission_s", "serialization_s", "send_s"):
        assert np.array_equal(getattr(again.costs, name), getattr(afresh.costs, name))


@settings(max_examples=50, deadline=None)
@given(world=worlds())
def test_a_planner_with_other_parts_searches_with_them(world: World) -> None:
    planner = Planner.of(world.profile, world.topology, compiled=False)
    slower = dataclasses.replace(planner.costs, compute_s=2 * planner.costs.compute_s)
    other = dataclasses.replace(planner, costs=slower)
    assert np.array_equal(other.allowed(UNCONSTRAINED).compute[0], slower.compute_s)


def test_a_faster_link_never_makes_the_best_latency_worse() -> None:
    sweep = grid(MOBILE, vary={"links[0].bandwidth": "10kb/s..1Gb/s"}, steps=40)
    latencies = [row.estimated.estimate.latency_s for row in plan_many(PROFILE, sweep, FLOOR)]
    assert all(faster <= slower for slower, faster in itertools.pairwise(latencies))
    assert latencies[-1] < latencies[0]


def test_rows_come_as_they_are_known() -> None:
    taken = []

    def endless() -> object:
        for j in itertools.count():
            taken.append(j)
            yield dataclasses.replace(MOBILE, name=f"phone-{j}")

    rows = plan_many(PROFILE, endless(), FLOOR, workers=2)
    names = [row.varied.topology.name for row in itertools.islice(rows, 40)]
    rows.close()
    assert names == [f"phone-{j}" for j in range(40)]
    assert len(taken) < 400


def test_a_topology_that_cant_be_planned_is_a_row() -> None:
    foreign = dataclasses.replace(MOBILE, tiers=(Tier("smartwatch", device="toaster"), *MOBILE.tiers[1:]))
    rows = list(plan_many(PROFILE, [foreign, MOBILE, foreign, MOBILE], FLOOR))
    assert [bool(row.estimated) for row in rows] == [False, True, False, True]
    assert "toaster" in rows[0].reason
    assert rows[2].reason == rows[0].reason
    assert rows[0].record() | {"reason": ""} == {
        "topology": "mobile", "plan": None, "accuracy": None, "latency_s": None,
        "p50_s": None, "p95_s": None, "p99_s": None, "meets": False, "reason": "",
    }  # fmt: skip
    nowhere = Constraints(forbidden=frozenset(tier.name for tier in MOBILE.tiers))
    (row,) = plan_many(PROFILE, [MOBILE], dataclasses.replace(FLOOR, constraints=nowhere))
    assert (row.estimated, row.meets, row.reason) == (None, False, "the constraints allow no plan")


def test_what_the_profile_lacks_ends_the_run_at_once() -> None:
    with pytest.raises(InputError, match="thresholds"):
        plan_many(PROFILE, [MOBILE], FLOOR, thresholds=[2.0])
    with pytest.raises(InputError, match="workers: 0 threads"):
        plan_many(PROFILE, [MOBILE], FLOOR, workers=0)


def test_parquet_reads_back(tmp_path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    foreign = VariedTopology(
        dataclasses.replace(MOBILE, tiers=(Tier("smartwatch", device="toaster"), *MOBILE.tiers[1:])),
        {"links[0].bandwidth_bits_per_s": 5.0},
    )
    many = [*grid(MOBILE, vary={"links[0].bandwidth": "100kb/s..10Mb/s"}, steps=30), foreign]
    rows = list(plan_many(PROFILE, many, Requirement(max_latency_s=0.2)))
    path = tmp_path / "rows.parquet"
    assert write_parquet(iter(rows), path) == 31
    table = parquet.read_table(path)
    assert table.to_pylist() == [row.record() for row in rows]
    assert table.column_names[:3] == ["topology", "links[0].bandwidth_bits_per_s", "plan"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.parquet"]
    assert write_parquet([], path) == 0
    assert parquet.read_table(path).num_rows == 0


def test_a_run_that_breaks_off_leaves_the_old_file(tmp_path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "rows.parquet"
    path.write_text("old")

    def broken() -> object:
        yield from plan_many(PROFILE, [MOBILE], FLOOR)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_parquet(broken(), path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.parquet"]
    with pytest.raises(InputError, match=r"nowhere.*\n.*can't be written"):
        write_parquet([], tmp_path / "nowhere" / "rows.parquet")


def test_without_pyarrow_the_remedy_is_told(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'offramp\[fleet\]'"):
        write_parquet([], tmp_path / "rows.parquet")


def test_a_grid_is_every_combination() -> None:
    made = grid(MOBILE, vary={"links[1].latency": "0s,1ms", "tiers[3].slowdown": [1, 2, 4]})
    found = [(each.topology.links[1].latency_s, each.topology.tiers[3].slowdown) for each in made]
    assert found == [(0, 1), (0, 2), (0, 4), (1e-3, 1), (1e-3, 2), (1e-3, 4)]
    assert [tuple(each.values.values()) for each in made] == found
    assert set(next(iter(made)).values) == {"links[1].latency_s", "tiers[3].slowdown"}
    (axis,) = (values for _, values in grid(MOBILE, vary={"links[0].bandwidth": "100kb/s..10Mb/s"}, steps=3).axes)
    assert axis == pytest.approx((1e5, 1e6, 1e7))
    device = dataclasses.replace(MOBILE, tiers=(Tier("smartwatch", device="ref"), *MOBILE.tiers[1:]))
    assert set(parameters(MOBILE)) - set(parameters(device)) == {"tiers[0].slowdown"}


@pytest.mark.parametrize(
    ("vary", "steps", "told"),
    [
        ({"links[3].bandwidth": "1Mb/s"}, 2, [r"links\[3\].bandwidth: ", r"vary some of links\[0\].bandwidth, "]),
        ({"links[0].bandwidth": "1ms"}, 2, [r"links\[0\].bandwidth: '1ms' is not a rate"]),
        ({"links[0].bandwidth": "1"}, 2, [r"links\[0\].bandwidth: '1' has no unit"]),
        ({"tiers[0].slowdown": "fast"}, 2, [r"tiers\[0\].slowdown: 'fast' is not a number"]),
        ({"tiers[0].slowdown": "-1,1"}, 2, [r"tiers\[0\].slowdown: -1.0 is not above zero"]),
        ({"tiers[0].slowdown": "10..1"}, 2, [r"tiers\[0\].slowdown: 10..1 does not go up"]),
        ({"tiers[0].slowdown": "1..inf"}, 2, [r"tiers\[0\].slowdown: "]),
        ({"tiers[0].slowdown": "1..10"}, 1, [r"tiers\[0\].slowdown: has 1 steps"]),
        ({"tiers[0].slowdown": "1,1"}, 2, [r"tiers\[0\].slowdown: has a value twice"]),
        ({"tiers[0].slowdown": []}, 2, [r"tiers\[0\].slowdown: has no values"]),
        ({"tiers[0].name": "x", "links[0].latency": "soon"}, 2, [r"tiers\[0\].name: ", r"links\[0\].latency: 'soon'"]),
        ({}, 2, ["vary: names nothing"]),
    ],
)
def test_a_wrong_grid_is_told_with_its_places(vary: dict, steps: int, told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        grid(MOBILE, vary=vary, steps=steps)
    for pattern in told:
        assert caught.match(pattern)


def a_map(vary: dict, requirement: Requirement = FLOOR) -> tuple[RegimeMap, list[PlannedTopology]]:
    made = grid(MOBILE, vary=vary, steps=8)
    rows = list(plan_many(PROFILE, made, requirement))
    return RegimeMap.of(made, rows, title="a map"), rows


def test_a_regime_map_says_who_wins_where() -> None:
    picture, rows = a_map({"links[0].bandwidth": "10kb/s..100Mb/s", "tiers[0].slowdown": [1, 30, 900, 5, 70]})
    assert picture.y.values == (1, 5, 30, 70, 900)
    for row in rows:
        bandwidth, slowdown = row.varied.values.values()
        cell = picture.cells[picture.y.values.index(slowdown)][picture.x.values.index(bandwidth)]
        assert picture.regimes[cell] == regime(row.estimated.plan)
        assert "T=" not in picture.regimes[cell]
    counts = [picture.count(i) for i in range(len(picture.regimes))]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == len(rows)
    assert picture.x.log
    assert picture.x.edges[1] == pytest.approx(math.sqrt(picture.x.values[0] * picture.x.values[1]))


def test_a_map_of_one_parameter_shows_where_nothing_will_do(tmp_path) -> None:
    picture, rows = a_map({"links[0].latency": [0, 1e-3, 0.05]}, Requirement(min_accuracy=0.9, max_latency_s=0.2))
    assert picture.y is None
    assert not picture.x.log
    assert [cell == UNMET for cell in picture.cells[0]] == [not row.meets for row in rows] == [False, False, True]
    save_figure(picture, tmp_path / "map.svg")
    assert "no plan meets the requirement" in (tmp_path / "map.svg").read_text()


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["sweep", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_sweep_as_a_user_runs_it(tmp_path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    profile, out, figure = (str(tmp_path / name) for name in ("p.json", "rows.parquet", "map.png"))
    write_profile(PROFILE, profile)
    vary = ["--vary", "links[0].bandwidth=10kb/s..100Mb/s", "--vary", "tiers[0].slowdown=1..900", "--steps", "5"]
    shown = run(profile, *vary, "--min-accuracy", "0.9", "--out", out, "--figure", figure)
    assert shown.splitlines()[:3] == [
        "mobile: the fastest plan with accuracy of at least 90.00 %",
        "slowdown of tiers[0], smartwatch",
        " 900 AAAAAAAAAA",
    ]
    assert "10 kb/s 100 Mb/s" in shown
    document = json.loads(run(profile, *vary, "--min-accuracy", "0.9", "--json"))
    assert document["rows"] == parquet.read_table(out).to_pylist()
    assert sum(each["cells"] for each in document["regimes"]) == 25
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--vary", "tiers[0].slowdown=1,2"], "requirement: is missing"),
        (["--vary", "tiers[0].slowdown=1,2", "--requirements", "CERTIFIED"], "confidence: a sweep certifies nothing"),
        (["--vary", "tiers[0].slowdown", "--min-accuracy", "0.9"], "--vary: .* gives no values"),
        (["--vary", "tiers[0].slowdown=1", "--vary", "tiers[0].slowdown=2", "--min-accuracy", "0.9"], "given twice"),
        ([*(f"--vary=tiers[{j}].slowdown=1" for j in range(3)), "--min-accuracy", "0.9"], "vary: names 3 parameters"),
    ],
)
def test_a_wrong_sweep_is_refused(tmp_path, arguments: list[str], told: str) -> None:
    path, certified = str(tmp_path / "p.json"), tmp_path / "certified.yaml"
    write_profile(PROFILE, path)
    certified.write_text("min_accuracy: 0.9\nconfidence: 0.95\n")
    arguments = [str(certified) if each == "CERTIFIED" else each for each in arguments]
    with pytest.raises(InputError, match=told):
        CliRunner().invoke(app, ["sweep", path, *arguments], catch_exceptions=False)
