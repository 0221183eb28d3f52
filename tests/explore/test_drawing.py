"""The drawing of a plan, and the options of the charts: records that can be checked without a screen."""

import json
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from offramp import Constraints, Plan, Planner
from offramp.core.estimate import Latency
from offramp.core.exits import ExitModelName
from offramp.core.topology import Tier, Topology
from offramp.explore import charts, phrases
from offramp.explore.cloud import Cloud
from offramp.explore.colors import DARK, LIGHT
from offramp.explore.diagram import diagram
from offramp.explore.regions import map_chart
from offramp.explore.tradeoff import cloud_texts, tradeoff
from offramp.explore.view import Explorer, Surroundings, View, frontier_picture
from offramp.sweeps.regimes import UNMET, Axis, RegimeMap
from offramp.view.frontier import FrontierPicture
from offramp.view.latency import DistributionPicture, TermsPicture
from offramp.view.placement import Placement
from offramp.view.regimes import OTHER_COLOR, REGIME_COLORS
from tests.explore.worlds import explorer, profile

SVG = "{http://www.w3.org/2000/svg}"
PLANS = [
    "1-10@smartwatch",
    "1-7@smartphone 8-9@base-station T=0.35",
    "1-3@smartwatch 4-5@cloud 6-7@base-station 8-10@smartphone T=0.40",
    "1-3@smartphone 4-5@smartphone 6@smartphone T=0.55",
]


def drawn(text: str, *, upright: bool, topology: Topology | None = None) -> ElementTree.Element:
    topology = topology or explorer().base.topology
    estimated = Planner.of(profile(), topology).estimate(Plan.parse(text))
    return ElementTree.fromstring(diagram(Placement.of(topology, estimated), blocks=10, upright=upright))


def texts(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter(f"{SVG}text")]


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("text", PLANS)
def test_the_drawing_says_what_runs_where_and_how_many_exit(text: str, upright: bool) -> None:
    svg = drawn(text, upright=upright)
    plan = Plan.parse(text)
    said = texts(svg)
    predicted = Planner.of(profile(), explorer().base.topology).estimate(plan).estimate
    for name in ("smartwatch", "smartphone", "base-station", "cloud"):
        assert name in said
    for (first, last), rate in zip(plan.blocks, predicted.exit_rates, strict=True):
        assert f"blocks {first}-{last}" in said or f"block {first}" in said
        assert f"{100 * rate:.2f} % exit" in said
    assert svg[0].tag == f"{SVG}title"
    assert text in (svg[0].text or "")
    assert svg[1].tag == f"{SVG}desc"
    assert "Answers go to smartwatch." in (svg[1].text or "")


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("text", PLANS)
def test_everything_is_inside_the_drawing(text: str, upright: bool) -> None:
    svg = drawn(text, upright=upright)
    _, _, width, height = map(float, svg.attrib["viewBox"].split())
    for path in svg.iter(f"{SVG}path"):
        numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", path.attrib["d"])]
        half = float(path.attrib["stroke-width"]) / 2
        assert all(half <= x <= width - half for x in numbers[0::2])
        assert all(half <= y <= height - half for y in numbers[1::2])
    for rect in svg.iter(f"{SVG}rect"):
        x, y, wide, high = (float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + wide <= width
        assert y + high <= height


def test_ribbons_are_as_wide_as_the_samples_are_many() -> None:
    svg = drawn("1-3@smartphone 4-6@base-station T=0.50", upright=False)
    predicted = Planner.of(profile(), explorer().base.topology).estimate(
        Plan.parse("1-3@smartphone 4-6@base-station T=0.50")
    )
    estimate = predicted.estimate
    widths = {
        color: [float(path.attrib["stroke-width"]) for path in svg.iter(f"{SVG}path") if path.attrib["stroke"] == color]
        for color in ("var(--samples)", "var(--exits)")
    }
    assert widths["var(--samples)"] == pytest.approx([22, 22 * estimate.stay_rates[0]], abs=0.01)
    assert sorted(widths["var(--exits)"]) == pytest.approx(sorted(22 * rate for rate in estimate.exit_rates), abs=0.01)


def test_names_from_files_are_text_and_nothing_else() -> None:
    name = '<script>alert(1)</script>&"'
    base = explorer().base.topology
    tiers = tuple(Tier(name, tier.slowdown) if tier.name == "smartphone" else tier for tier in base.tiers)
    topology = replace(base, tiers=tiers, destination=name)
    answer = explorer().view(replace(explorer().base, topology=topology))
    solution = answer.solution
    assert solution is not None
    svg = drawn(f"1-10@{name}", upright=False, topology=topology)
    assert not list(svg.iter(f"{SVG}script"))
    assert name in (svg[0].text or "")
    pinned = replace(answer, pins=(answer.planner.estimate(Plan.parse("1-10@cloud")),))
    pages = [phrases.answer(answer), phrases.summary(answer), phrases.pins(pinned, LIGHT)]
    pages.append(phrases.frontier(Surroundings.of(answer).members, solution.estimated, Latency.MEAN))
    for page in pages:
        assert "&lt;script&gt;" in page
        assert "<script" not in page


def test_a_drawing_that_is_a_file_brings_its_colors() -> None:
    topology = explorer().base.topology
    estimated = explorer().planners[0].estimate(Plan.parse(PLANS[1]))
    svg = ElementTree.fromstring(diagram(Placement.of(topology, estimated), blocks=10, upright=False, alone=True))
    style = "".join(element.text or "" for element in svg.iter(f"{SVG}style"))
    assert f"--samples: {LIGHT.samples};" in style
    assert "prefers-color-scheme: dark" in style
    used = set(re.findall(r"var\((--[a-z-]+)\)", ElementTree.tostring(svg, encoding="unicode")))
    assert used <= set(re.findall(r"(--[a-z-]+):", LIGHT.css()))


def pictured(view: View, surroundings: Surroundings) -> FrontierPicture:
    picture = frontier_picture(view, surroundings)
    assert picture is not None
    return picture


def everything(state_entries: list[tuple[str, str]], exits: ExitModelName | None = None) -> dict[str, dict[str, Any]]:
    world = explorer(exits=exits)
    state = world.base
    for key, text in state_entries:
        state = world.entered(state, key, text)
    answer = world.view(state)
    cloud = Cloud.drawn(world.planners[0], state.requirement.constraints, plans=120)
    cloud_s = cloud.latency_s(answer.planner.costs, state.requirement.latency)
    around = Surroundings.of(answer).with_systems(answer)
    curves = [DistributionPicture.predicted("plan", plan.estimate)
              for plan in answer.listed if phrases.has_distribution(plan)]  # fmt: skip
    return {
        "plot": tradeoff(pictured(answer, around), cloud, cloud_s, LIGHT),
        "early": tradeoff(pictured(answer, Surroundings()), cloud, cloud_s, DARK),
        "terms": charts.breakdown(TermsPicture.of([("plan", plan.estimate) for plan in answer.listed]), LIGHT),
        "spread": charts.distribution(DistributionPicture(tuple(curves)), LIGHT),
    }


@pytest.mark.parametrize("exits", [None, ExitModelName.PUBLISHED, ExitModelName.MARGINAL])
def test_options_are_plain_json_in_every_exit_model(exits: ExitModelName | None) -> None:
    made = everything([("pin", "1-3@smartphone 4-10@cloud T=0.50"), ("max-latency", "200 ms")], exits)
    json.dumps(made, allow_nan=False)


def test_the_plot_shows_frontier_requirement_systems_plan_and_pins() -> None:
    entries = [("min-accuracy", "0.983"), ("max-latency", "200 ms"), ("pin", "1-10@cloud")]
    series = {one["name"]: one for one in everything(entries)["plot"]["series"]}
    members = explorer().planners[0].frontier()
    line = series["frontier"]
    assert [point["value"][3] for point in line["data"]] == [str(member.plan) for member in members]
    first = members[0].estimate
    assert line["data"][0]["value"][:2] == pytest.approx([1000 * first.latency_s, 100 * first.accuracy], rel=1e-4)
    assert line["markLine"]["data"] == [{"yAxis": 98.3, "name": "floor"}, {"xAxis": 200.0, "name": "limit"}]
    assert line["markLine"]["lineStyle"]["type"] == "dashed"
    named = " ".join(point["value"][2] for point in series["published systems"]["data"])
    for system in ("Neurosurgeon", "BranchyNet", "Edgent", "SPINN", "PORTEND", "device-only"):
        assert system in named
    marked = [point["value"][3] for point in series["plan and pins"]["data"]]
    assert marked == ["1-7@smartphone 8-9@base-station T=0.35", "1-10@cloud"]


def test_the_clouds_points_and_texts_go_together() -> None:
    planner = explorer().planners[0]
    cloud = Cloud.drawn(planner, Constraints(), plans=120)
    picture = pictured(explorer().view(explorer().base), Surroundings())
    series = tradeoff(picture, cloud, cloud.latency_s(planner.costs, Latency.MEAN), LIGHT)["series"]
    for plans, points in zip(cloud_texts(cloud), series, strict=False):
        assert points["name"].split()[0] == str(len(Plan.parse(plans[0]).ends))
        for text, (time, accuracy) in zip(plans, points["data"], strict=True):
            predicted = planner.estimate(Plan.parse(text)).estimate
            assert [time, accuracy] == pytest.approx([1000 * predicted.latency_s, 100 * predicted.accuracy], rel=1e-4)


def test_bars_add_up_and_curves_end_at_everyone() -> None:
    made = everything([("min-accuracy", "0.983"), ("pin", "1-3@smartphone 4-10@cloud T=0.50")])
    planner = explorer().planners[0]
    bars = [sum(term["data"][i]["value"] for term in made["terms"]["series"]) for i in range(2)]
    plans = ("1-7@smartphone 8-9@base-station T=0.35", "1-3@smartphone 4-10@cloud T=0.50")
    latencies = [1000 * planner.estimate(Plan.parse(text)).estimate.latency_s for text in plans]
    assert bars == pytest.approx(latencies, rel=1e-3)
    for curve in made["spread"]["series"]:
        shares = [point[1] for point in curve["data"]]
        assert shares == sorted(shares)
        assert shares[-1] == 100


def test_the_map_colors_each_cell_by_its_regime_and_rings_the_middle() -> None:
    regimes = tuple(f"1-{end}@cloud" for end in range(1, len(REGIME_COLORS) + 3))
    along, up = Axis("bandwidth", "b/s", (1e5, 1e6, 1e7), True), Axis("slowdown", "", (1.0, 500.0, 2000.0), True)
    last = len(regimes) - 1
    picture = RegimeMap("a map", along, up, regimes, ((0, 1, UNMET), (2, last, 3), (last - 1, 4, 5)))
    options = map_chart(picture, LIGHT)
    json.dumps(options, allow_nan=False)
    cells, *rings = options["series"]
    of_each = {tuple(cell["value"][:2]): (cell["value"][2], cell["tip"]) for cell in cells["data"]}
    colors = {piece["value"]: piece["color"] for piece in options["visualMap"]["pieces"]}
    assert of_each[0, 0] == (0, "1-1@cloud")
    assert of_each[2, 0] == (UNMET, "no plan meets the requirement")
    assert colors[UNMET] == LIGHT.paper
    # Those without a color of their own share one, and still tell which they are.
    assert of_each[1, 1] == (len(REGIME_COLORS), regimes[last])
    assert of_each[0, 2] == (len(REGIME_COLORS), regimes[last - 1])
    assert colors == {**dict(enumerate(REGIME_COLORS)), len(REGIME_COLORS): OTHER_COLOR, UNMET: LIGHT.paper}
    assert [ring["data"] for ring in rings] == [[[1, 1]], [[1, 1]]]
    assert options["xAxis"]["data"] == ["100 kb/s", "1 Mb/s", "10 Mb/s"]
    assert options["yAxis"]["data"] == ["1", "500", "2,000"]
    alone = map_chart(RegimeMap("a map", along, None, regimes, ((0, 1, 2),)), LIGHT)
    assert alone["yAxis"] == {"type": "category", "data": [""]}
    assert [ring["data"] for ring in alone["series"][1:]] == [[[1, 0]], [[1, 0]]]


def test_a_page_without_any_plan_says_why_and_shows_nothing_else() -> None:
    base = explorer().base
    tiers = (replace(base.topology.tiers[0], slowdown=None, device="abacus"), *base.topology.tiers[1:])
    view = explorer().view(replace(base, topology=replace(base.topology, tiers=tiers)))
    assert view.solution is None
    around = Surroundings.of(view)
    assert (around.members, around.gap) == ((), None)
    assert around.with_systems(view) is around
    assert frontier_picture(view, around) is None
    assert phrases.summary(view) == "no plan"
    assert 'class="answer unmet"' in phrases.answer(view)
    assert "no device &#x27;abacus&#x27;" in phrases.answer(view)
    assert "data-plan" not in phrases.answer(view)
    assert "Click a point" in phrases.pins(view, LIGHT)


def test_a_single_tier_needs_no_links() -> None:
    topology = Topology("alone", "box", "box", (Tier("box", device="amd-epyc"),), ())
    world = Explorer.of(profile(), topology, profile_source="p", topology_source="t")
    answer = world.view(world.base)
    assert answer.solution is not None
    assert world.base.axes == ("", "")
    cloud = Cloud.drawn(world.planners[0], Constraints(), plans=120)
    picture = pictured(answer, Surroundings.of(answer).with_systems(answer))
    options = tradeoff(picture, cloud, cloud.latency_s(world.planners[0].costs, Latency.MEAN), LIGHT)
    json.dumps(options, allow_nan=False)
    assert "box" in texts(drawn(str(answer.solution.plan), upright=False, topology=topology))


def test_differences_are_told_in_points_and_percent() -> None:
    planner = explorer().planners[0]
    one, other = (planner.estimate(Plan.parse(text)) for text in ("1-7@smartphone", "1-6@smartphone"))
    latency = Latency.MEAN
    # 98.00 % against 97.56 %, 111.2 ms against 105.9 ms: 0.44 points and 5.0 %.
    assert re.fullmatch(r"0\.44 points more accurate, [45]\.\d % slower", phrases.difference(one, other, latency))
    assert phrases.difference(one, one, latency) == "as accurate and as fast"


def test_text_stands_out_from_its_background() -> None:
    def brightness(color: str) -> float:
        channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        light, dark = sorted((brightness(one), brightness(other)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    for scheme in (LIGHT, DARK):
        for paper in (scheme.paper, scheme.card):
            assert contrast(scheme.ink, paper) >= 7
            assert contrast(scheme.faint, paper) >= 4.5
        # Large or bold text, and lines: 3 to 1 by WCAG 2.
        assert contrast(scheme.strong, scheme.card) >= 3
        assert contrast(scheme.on_block, scheme.block) >= 3
