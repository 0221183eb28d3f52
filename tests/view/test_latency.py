"""What the pictures show is what the library computes; they can be drawn whatever the numbers."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.baselines import ComparedSystem
from offramp.core.estimate import Estimate, EstimatedPlan
from offramp.core.plan import Plan
from offramp.core.result import RunResult
from offramp.core.topology import Link, Tier, Topology
from offramp.core.validation import Achieved, ValidatedPlan, Validation
from offramp.reports.study import Study
from offramp.view.drawing import NARROW, WIDE, Picture, svg
from offramp.view.frontier import FrontierPicture
from offramp.view.latency import AgreementPicture, Curve, DistributionPicture, SystemsPicture, TermsPicture
from offramp.view.placement import Placement
from offramp.view.points import PlanPoint, SystemPoint


def reached(curve: Curve, percent: float) -> float:
    """The least latency, in ms, that so many of a hundred samples don't exceed, read off the curve."""
    return next(time for time, share in zip(curve.latencies, curve.shares, strict=True) if share >= percent - 1e-9)


def test_terms_add_up_to_the_latency(study: Study) -> None:
    estimates = [(str(member.plan), member.estimate) for member in study.solution.frontier]
    picture = TermsPicture.of(estimates)
    assert picture.totals == pytest.approx([1000 * estimate.latency_s for _, estimate in estimates])


def test_the_predicted_curve_has_the_estimates_percentiles(study: Study) -> None:
    for member in study.solution.frontier:
        curve = DistributionPicture.predicted("", member.estimate)
        assert curve.shares[-1] == pytest.approx(100)
        for percent in (1, 50, 95, 99):
            assert reached(curve, percent) == pytest.approx(1000 * member.estimate.percentile_s(percent))


def test_the_measured_curve_has_the_runs_percentiles(run: RunResult) -> None:
    curve, measured = DistributionPicture.measured("", run), run.measured
    assert measured is not None
    assert len(curve.latencies) == 299
    assert [reached(curve, percent) for percent in (50, 95, 99)] == pytest.approx(
        [1000 * measured.p50_s, 1000 * measured.p95_s, 1000 * measured.p99_s]
    )
    assert list(curve.latencies) == sorted(curve.latencies)


def test_the_scatter_holds_every_plan(validation: Validation) -> None:
    picture = AgreementPicture.of(validation)
    ((name, points),) = picture.points
    assert name == "mobile"
    predicted, measured = zip(*points, strict=True)
    assert predicted == tuple(1000 * plan.predicted.latency_s for plan in validation.plans)
    assert measured == tuple(1000 * plan.measured.latency_s for plan in validation.plans)


def test_every_system_has_its_row(study: Study) -> None:
    picture = SystemsPicture.of(study.systems, latency="latency")
    assert [system.system for system in picture.systems] == [row.system for row in study.systems]
    estimate = study.solution.estimate
    assert picture.systems[-1] == SystemPoint(
        "Offramp", 1000 * estimate.latency_s, 100 * estimate.accuracy, True, str(study.solution.plan)
    )


times = st.sampled_from([0.0, 1e-6, 0.125, 4.0, 3000.0])


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    n = draw(st.integers(1, 3))

    def estimate() -> Estimate:
        terms = [draw(times) for _ in range(4)]
        latencies = tuple(draw(times) for _ in range(n))
        return Estimate(0.5, sum(terms), (1 / n,) * n, (1.0,) * n, *terms, latencies)

    kind = draw(st.integers(0, 4))
    if kind == 0:
        return TermsPicture.of([(f"plan {i} <&>", estimate()) for i in range(n)])
    if kind == 1:
        return DistributionPicture(tuple(DistributionPicture.predicted(f"<{i}>", estimate()) for i in range(n)))
    if kind == 2:
        rows = [
            ComparedSystem(name, "plan", predicted := estimate(), predicted.latency_s, i % 2 == 0, None)
            for i, name in enumerate(["<b>&", *"xyz"[:n], "Offramp"])
        ]
        return SystemsPicture.of(rows, latency="p95 latency")

    if kind == 3:

        def point(name: str) -> PlanPoint:
            return PlanPoint(draw(times), draw(st.sampled_from([0.0, 50.0, 100.0])), draw(st.integers(1, 9)), name)

        return FrontierPicture(
            "<b>&", "mean latency", tuple(point("<m>") for _ in range(n)), point("<c>"), 50.0, 4.0,
            tuple(point(f"<{i}>") for i in range(n - 1)),
            tuple(SystemPoint(f"<s{i}>", draw(times), 50.0, True, "plan") for i in range(n - 1)),
        )  # fmt: skip

    def figures(time: float) -> Achieved:
        return Achieved(accuracy=0.5, latency_s=time, exit_rates=(1.0,))

    return AgreementPicture.of(
        Validation(
            tuple(
                ValidatedPlan(
                    topology=f"<{i % 2}>", plan=Plan((1,), ("t",), ()), samples=1, predicted=figures(draw(times)),
                    measured=figures(draw(times.filter(bool))),
                )
                for i in range(n)
            )
        )
    )  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(pictures())
def test_any_numbers_and_names_can_be_drawn(picture: Picture) -> None:
    drawn = svg(picture, name="figure", ink="currentColor")
    root = ET.fromstring(drawn)
    assert root.tag.endswith("svg")
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
        "svg", "g", "defs", "path", "use", "text", "tspan", "rect", "clipPath", "style", "metadata",
    }  # fmt: skip
    assert "currentColor" in drawn


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_plan_over_sixteen_tiers_is_drawn_within_the_paper(width: float) -> None:
    n = 16
    names = tuple(f"a-tier-of-many-{j}" for j in range(n))
    topology = Topology(
        "long", names[3], names[5], tuple(Tier(name, 1.0) for name in names), (Link(1e6, 0.01),) * (n - 1)
    )
    order = [j for pair in zip(range(n // 2), reversed(range(n // 2, n)), strict=True) for j in pair]
    plan = Plan(tuple(range(1, n + 1)), tuple(names[j] for j in order), (0.5,) * (n - 1))
    exits = tuple(1 / n for _ in range(n))
    stay = tuple(1 - (k + 1) / n for k in range(n))
    estimate = Estimate(0.5, 1.0, exits, stay, 1.0, 0.0, 0.0, 0.0, (1.0,) * n)
    placement = Placement.of(topology, EstimatedPlan(plan, estimate))
    root = ET.fromstring(svg(placement, name="long", ink="#000", width=width))
    texts = ["".join(element.itertext()).strip() for element in root.iter() if element.tag.endswith("text")]
    assert sum("exit after" in text for text in texts) == n
    right = float(root.attrib["viewBox"].split()[2])
    ends = [float(x) for path in root.iter("{http://www.w3.org/2000/svg}path") if "clip-path" in path.attrib
            for x in re.findall(r"[ML] (-?[\d.]+) ", path.attrib["d"])]  # fmt: skip
    assert ends
    assert max(ends) <= right


def test_the_same_figure_is_the_same_svg_and_another_shares_no_id(study: Study) -> None:
    terms = TermsPicture.of([("a", study.solution.estimate)])
    drawn = [svg(terms, name=name, ink="#000") for name in ("one", "one", "two")]
    assert drawn[0] == drawn[1]
    clips = [
        {element.get("id") for element in ET.fromstring(text).iter() if element.tag.endswith("clipPath")}
        for text in drawn[1:]
    ]
    assert clips[0]
    assert not clips[0] & clips[1]
