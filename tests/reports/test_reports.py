"""A report holds the library's numbers, loads nothing, and lets no text be markup, in all four formats."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt
from PIL import Image

from offramp.core.backbone import Backbone, Block
from offramp.core.exit_table import ExitTable
from offramp.core.planner import Planner
from offramp.core.profile import Profile
from offramp.core.requirement import NO_REQUIREMENT
from offramp.core.result import RunResult
from offramp.core.timing import Timing
from offramp.core.topology import Link, Tier, Topology
from offramp.core.validation import Validation
from offramp.errors import InputError, MissingExtraError
from offramp.files.quantities import TIME
from offramp.pipeline.solve import solve_among
from offramp.reports.blocks import Code, Content, Facts, Table, Text
from offramp.reports.content import content
from offramp.reports.markdown import markdown
from offramp.reports.page import html
from offramp.reports.paper import paper
from offramp.reports.report import Format, write_report
from offramp.reports.study import Study
from offramp.view.text import percent, seconds
from tests.core.worlds import World, worlds
from tests.reports.conftest import LIMIT

_VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """What is in a page: its elements, its text, what it would load, whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in _VOID:
            self.open.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        for name, value in attrs:
            assert not name.startswith("on"), name
            if name in ("src", "href", "xlink:href", "data", "action", "srcset") and not (value or "").startswith("#"):
                self.loads.append(value or "")
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if "tr" in self.open and ({"td", "th"} & set(self.open)):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def told(study: Study) -> Content:
    return content(study, command="offramp report x --out y.html", made="Offramp 0, 2026-01-01")


@pytest.fixture(scope="module")
def text(told: Content) -> str:
    return html(told)


def test_the_page_loads_nothing_and_is_small(text: str) -> None:
    page = Page(text)
    assert not page.open
    assert page.loads == []
    assert len(set(page.ids)) == len(page.ids) > 4
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not re.search(r"@import|url\((?!#)", text)
    # What is left of addresses are the names of XML's vocabularies.
    assert set(re.findall(r"https?://[^\"'\s<)]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert len(text.encode()) < 5e6
    assert "prefers-color-scheme: dark" in text
    assert "currentColor" in text


def test_its_numbers_are_the_librarys(study: Study, run: RunResult, validation: Validation, text: str) -> None:
    page = Page(text)
    rows = {tuple(row) for row in page.rows}
    shown = study.solution.estimated
    assert len(shown.plan.ends) > 1
    assert ("accuracy", percent(shown.estimate.accuracy)) in rows
    assert ("mean latency", seconds(shown.estimate.latency_s)) in rows
    for q in (50, 95, 99):
        assert (f"p{q} latency", seconds(shown.estimate.percentile_s(q))) in rows
    for term in ("compute", "propagation", "transmission", "serialization"):
        assert (f"of it {term}", seconds(getattr(shown.estimate, f"{term}_s"))) in rows
    for member in study.solution.frontier:
        assert (seconds(member.estimate.latency_s), percent(member.estimate.accuracy), str(member.plan)) in rows
    for row in study.systems:
        assert any(cells[:3] == (row.system, seconds(row.latency_s), percent(row.estimate.accuracy)) for cells in rows)
    measured = run.measured
    assert measured is not None
    assert measured.accuracy is not None
    points = f"{100 * (measured.accuracy - run.predicted.accuracy):+.2f} points"
    predicted = percent(run.predicted.accuracy)
    assert ("accuracy", predicted, predicted, percent(measured.accuracy), points) in rows
    off = f"{100 * (measured.p95_s / run.predicted.percentile_s(95) - 1):+.1f} %"
    assert any(cells[0] == "p95 latency" and cells[3:] == (seconds(measured.p95_s), off) for cells in rows)
    assert (
        f"{percent(shown.estimate.exit_rates[0])} exit after {seconds(shown.estimate.exit_latency_s[0])}" in page.words
    )
    assert f"{validation.latency.slope:.3f}" in page.words
    assert f"{100 * validation.latency.median_relative_error:.1f} %" in page.words


@pytest.mark.parametrize("member", [0, 5, -1])
def test_a_plan_of_ones_own_is_held_against_what_was_asked(study: Study, member: int) -> None:
    solution = study.solution
    plan = solution.frontier[member].plan
    told = Study.of(solution, plans=[plan, solution.plan])
    estimated = solution.planner.estimate(plan)
    assert told.candidates[0].estimated == estimated
    assert told.candidates[0].meets == (estimated.estimate.latency_s <= TIME.parse(LIMIT))
    page = Page(html(content(told, command="", made="")))
    row = [percent(estimated.estimate.accuracy), seconds(estimated.estimate.latency_s)]
    assert [*row, "yes" if told.candidates[0].meets else "no", str(plan)] in [cells[1:] for cells in page.rows]
    assert str(solution.plan) in "".join(page.words)


NASTY = "<script>alert(1)</script>&\"'|`*_[x](y)#$a^$\\"


@pytest.fixture(scope="module")
def nasty() -> Content:
    """A report of a world whose every name is an attack."""
    tier = NASTY.replace(" ", "")
    n = 2
    profile = Profile(
        Backbone(NASTY, NASTY, 64, 8, (Block("a", 8), Block("b", 8))),
        {NASTY: Timing(np.ones(n), np.ones(n), None, np.zeros(n + 2), np.zeros(n + 2))},
        NASTY,
        exit_table=ExitTable(np.array([[0.1, 0.9], [0.0, 0.1]]), np.ones((2, 2), bool), np.zeros(2, int)),
        provenance={NASTY: NASTY, "rows\n| x |": "a\nb"},
    )
    topology = Topology(NASTY, tier, tier, (Tier(tier, 2.0), Tier("cloud", 1.0)), (Link(8.0, 1.0),))
    solution = solve_among(profile, [Planner.of(profile, topology)], NO_REQUIREMENT)
    return content(Study.of(solution), command=f"offramp '{NASTY}'", made=NASTY)


def test_no_text_becomes_markup_in_html(nasty: Content) -> None:
    page = Page(html(nasty))
    assert "script" not in page.tags
    assert not page.open
    assert NASTY in "".join(page.words)


def test_no_text_becomes_markup_in_markdown(nasty: Content) -> None:
    text, _ = markdown(nasty, folder="files")
    rendered = MarkdownIt("commonmark").enable("table").render(text)
    page = Page(rendered)
    assert not page.tags & {"script", "a", "em"}
    assert NASTY in "".join(page.words)


def test_no_text_becomes_markup_on_paper(nasty: Content) -> None:
    assert NASTY.split("<")[0] in pdf_text(paper(nasty, "pdf"))
    assert "<script>alert(1)</script>" in re.sub(r"\s", "", pdf_text(paper(nasty, "pdf")))


def pdf_text(data: bytes) -> str:
    with pypdfium2.PdfDocument(data) as document:
        return "\n".join(page.get_textpage().get_text_bounded() for page in document)


def test_the_pdf_has_the_same_numbers_on_pages_of_a4(study: Study, told: Content) -> None:
    data = paper(told, "pdf")
    assert data.startswith(b"%PDF")
    text = pdf_text(data)
    estimate = study.solution.estimate
    for number in (percent(estimate.accuracy), seconds(estimate.latency_s), seconds(estimate.percentile_s(99))):
        assert number in text
    with pypdfium2.PdfDocument(data) as document:
        assert all(size == pytest.approx((595, 842), abs=1) for size in (page.get_size() for page in document))
        assert 2 <= len(document) <= 12


def test_the_png_is_one_long_page(told: Content, tmp_path: Path) -> None:
    (tmp_path / "r.png").write_bytes(paper(told, "png"))
    with Image.open(tmp_path / "r.png") as image:
        assert image.width > 1000
        assert image.height > 3 * image.width
        shades = np.asarray(image.convert("L"))
    # Paper all around, ink in every stretch of the page.
    assert (shades[:, :20] == 255).all()
    assert all(stretch.min() < 128 for stretch in np.array_split(shades, 20))


def test_markdown_has_what_it_shows_beside_it(study: Study, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "r.md"
    path.parent.mkdir()
    write_report(study, path, layout="md", command="", made="")
    text = path.read_text()
    beside = re.findall(r"\]\(([^)]+)\)", text)
    assert beside
    assert all((path.parent / name).is_file() for name in beside)
    lines = (path.parent / "r_files" / "frontier.csv").read_text().splitlines()
    assert len(lines) == 1 + len(study.solution.frontier)
    assert MarkdownIt("commonmark").enable("table").render(text).count("<table>") == len(
        [block for section in content(study, command="", made="").sections for block in section.blocks
         if isinstance(block, Table)]
    )  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(worlds())
def test_every_world_has_a_report(world: World) -> None:
    solution = solve_among(world.profile, [Planner.of(world.profile, world.topology)], NO_REQUIREMENT)
    told = content(Study.of(solution), command="", made="")
    for section in told.sections:
        assert section.blocks
        for block in section.blocks:
            if isinstance(block, Text | Code):
                assert block.text
            elif isinstance(block, Facts):
                assert 1 <= len(block.facts) <= 6
            elif isinstance(block, Table):
                assert all(len(row) == len(block.columns) for row in block.rows)
                assert block.strong is None or block.strong < len(block.rows)


def test_a_run_on_another_topology_is_refused(study: Study, run: RunResult) -> None:
    elsewhere = dataclasses.replace(run, topology="iot")
    with pytest.raises(InputError, match=r"elsewhere\.json ran on iot"):
        Study.of(study.solution, results=[("elsewhere.json", elsewhere)])


@pytest.mark.parametrize(("layout", "package"), [("html", "jinja2"), ("pdf", "typst"), ("png", "typst")])
def test_a_missing_package_is_named(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Format, package: str
) -> None:
    import sys

    for name in ("offramp.reports.page", "offramp.reports.paper"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"{package}: pip install 'offramp\[report\]'"):
        write_report(study, tmp_path / "r", layout=layout, command="", made="")
    assert not list(tmp_path.iterdir())
