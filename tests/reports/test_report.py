"""The verb: of a solution or of a profile, with plans, runs and codecs of one's own."""

from pathlib import Path
from typing import Any

import pytest

from offramp.core.planner import Planner
from offramp.core.result import RunResult
from offramp.core.validation import Validation
from offramp.errors import InputError
from offramp.files import read_profile, write_run_result
from offramp.pipeline.solution import Solution
from offramp.pipeline.solve import solve
from offramp.reports.report import report
from offramp.reports.study import Study
from tests.reports.conftest import LIMIT, PLAN


def test_a_solution_and_what_it_was_asked_give_the_same_report(tmp_path: Path, solution: Solution) -> None:
    of_solution = report(solution, out=tmp_path / "a.html", progress=False)
    of_profile = report("resnet20-digits", "mobile", out=tmp_path / "b.html", max_latency=LIMIT, keep=1, progress=False)
    assert of_solution.plans == of_profile.plans == (str(solution.plan),)
    assert of_solution.meets
    assert of_solution.format == "html"
    assert of_solution.size_bytes == of_solution.path.stat().st_size
    assert len(repr(of_solution)) < 200

    def told(path: Path) -> str:
        # How long the search took differs from one to the next.
        return path.read_text().replace(" ", "").partition("Optimalamong")[0]

    assert told(tmp_path / "a.html") == told(tmp_path / "b.html")


def test_runs_may_be_values_or_files(
    tmp_path: Path, solution: Solution, run: RunResult, validation: Validation
) -> None:
    write_run_result(run, tmp_path / "evening.json")
    written = report(
        solution, out=tmp_path / "r.md", results=[run, validation, tmp_path / "evening.json"], progress=False
    )
    assert written.plans == (str(PLAN),)
    text = (tmp_path / "r.md").read_text()
    for name in ("run 1", "validation 2", "evening.json"):
        assert f"## Predicted against measured: {name}\n" in text


def test_the_commands_line_is_told_where_there_is_one(tmp_path: Path, solution: Solution) -> None:
    report(solution, out=tmp_path / "r.md", command="offramp report x", progress=False)
    assert "offramp report x" in (tmp_path / "r.md").read_text()
    report(solution, out=tmp_path / "r.md", progress=False)
    assert "makes this report again" not in (tmp_path / "r.md").read_text()


def test_a_solution_is_not_asked_again(tmp_path: Path, solution: Solution) -> None:
    with pytest.raises(InputError, match="either a Solution, or a profile and what is asked"):
        report(solution, "iot", out=tmp_path / "r.html")
    with pytest.raises(InputError, match="either a Solution"):
        report(solution, out=tmp_path / "r.html", min_accuracy=0.9)


@pytest.mark.parametrize(("name", "asked"), [("report.txt", None), ("report.html", "doc")])
def test_another_format_is_refused_before_anything_is_solved(name: str, asked: Any) -> None:
    with pytest.raises(InputError, match="html, pdf, png, md"):
        report("no-such-profile", out=name, format=asked)


def test_a_solution_without_its_frontier_is_told_without(tmp_path: Path) -> None:
    report(solve("resnet20-digits", min_accuracy=0.9, frontier=False, progress=False), out=tmp_path / "r.md")
    assert "## The frontier" not in (tmp_path / "r.md").read_text()


def test_where_no_plan_is_allowed_it_says_what_could_be_given_up(tmp_path: Path) -> None:
    written = report(
        "resnet20-digits", out=tmp_path / "r.md", min_accuracy=0.9, require=["cloud"], keep=10, progress=False
    )
    assert not written.meets
    assert "What could be given up" in (tmp_path / "r.md").read_text()


def test_plans_of_every_codec_stand_beside_each_other() -> None:
    profile = read_profile("resnet20-digits")
    solution = solve(profile, min_accuracy=0.95, codec="any", progress=False)
    codecs = {
        planner.codec: planner for planner in Planner.each(profile, solution.topology, solution.requirement.codecs)
    }
    assert len(codecs) > 1
    plans = [planner.frontier()[-1].plan for planner in codecs.values()]
    candidates = Study.of(solution, plans=plans).candidates
    for plan, candidate in zip(plans, candidates, strict=True):
        assert candidate.estimated == codecs[plan.codec].estimate(plan)
        assert candidate.meets == (candidate.estimated.estimate.accuracy >= 0.95)
    narrow = solve(profile, min_accuracy=0.95, progress=False)
    for plan, candidate in zip(plans, Study.of(narrow, plans=plans).candidates, strict=True):
        assert not candidate.meets or plan.codec is narrow.planner.codec
