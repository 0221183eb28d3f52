"""The verb `report`: a plan or a study as a file that can be sent, laid out as the file's ending says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Literal, TypeAlias, Unpack, get_args

from offramp.core.exits import ExitModelName
from offramp.core.latency import ComputeSource
from offramp.core.profile import Profile
from offramp.core.requirement import Requirement
from offramp.core.result import RunResult
from offramp.core.topology import Topology
from offramp.core.validation import Validation
from offramp.errors import MissingExtraError, fail
from offramp.files import RequirementWords, read_result
from offramp.files.writing import replace_files
from offramp.pipeline.arguments import PlanSource, path_of, plans_of, whole_number
from offramp.pipeline.progress import Progress, ShowProgress, reporting
from offramp.pipeline.run import BundleRun
from offramp.pipeline.solution import Solution
from offramp.pipeline.solve import solve
from offramp.reports.content import content
from offramp.reports.study import Study

Format = Literal["html", "pdf", "png", "md"]
FORMATS: tuple[Format, ...] = get_args(Format)

Result: TypeAlias = BundleRun | RunResult | Validation | str | Path
"""What `run` or `validate` gave, or the path of what it wrote."""


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """A report that was written.

    plans: those it tells of, in their one-line form.
    meets: whether the first of them is what was asked for.
    size_bytes: of the file; what Markdown has beside it not counted.
    """

    path: Path
    format: Format
    plans: tuple[str, ...]
    meets: bool
    size_bytes: int

    def __repr__(self) -> str:
        return f"Report({self.path}: {self.size_bytes / 1000:,.0f} kB about {', '.join(self.plans)})"


def report(
    solution: Solution | Profile | str | Path,
    topology: Topology | str | Path | None = None,
    requirement: Requirement | str | Path | None = None,
    *,
    out: str | Path,
    plans: PlanSource | Sequence[PlanSource] = (),
    results: Result | Sequence[Result] = (),
    format: Format | None = None,
    exit_model: ExitModelName | str | None = None,
    compute: ComputeSource | str | None = None,
    thresholds: Sequence[float] | None = None,
    seed: int = 0,
    progress: ShowProgress = None,
    command: str = "",
    **words: Unpack[RequirementWords],
) -> Report:
    """Write a report: what was asked, the plan, what it achieves, what else there is, and what runs measured.

    solution: what `solve` gave, with which nothing of what it was asked may be given again; or a profile, its name or
        its path: then it is solved as `solve` does, with the arguments of the same names; on `mobile` where no
        topology is given.
    out: the file to write, whole or not at all. HTML is one file that loads nothing. Markdown has its figures and
        tables in a folder beside it, `NAME_files`.
    plans: the one to tell of, or several; by default those of the runs, else the best.
    results: what `run` or `validate` gave, or the path of what it wrote; or several of them.
    format: by default what the file ends in.
    command: the command line that makes the report again, to be told in it.
    Raises `InputError` for what can't be used, `MissingExtraError` where a package is not installed.
    """
    path = path_of("out", out, "the file to write")
    layout = format_of(path, format)
    chosen = plans_of("plans", plans)
    measured = _named(results)
    whole_number("seed", seed)
    with reporting(progress) as tell:
        if isinstance(solution, Solution):
            asked = (topology, requirement, exit_model, compute, thresholds)
            if words or seed or any(argument is not None for argument in asked):
                problem = "is given beside arguments that say how to solve"
                fail("solution", problem, "give either a Solution, or a profile and what is asked")
        else:
            solution = solve(
                solution,
                "mobile" if topology is None else topology,
                requirement,
                exit_model=exit_model,
                compute=compute,
                thresholds=thresholds,
                seed=seed,
                progress=tell,
                **words,
            )
        tell(Progress("writing", None, str(path)))
        study = Study.of(solution, plans=chosen, results=measured)
        made = f"Offramp {version('offramp')}, {date.today().isoformat()}"
        write_report(study, path, layout=layout, command=command, made=made)
    return Report(
        path=path,
        format=layout,
        plans=tuple(str(candidate.estimated.plan) for candidate in study.candidates),
        meets=study.candidates[0].meets,
        size_bytes=path.stat().st_size,
    )


def format_of(path: Path, asked: str | None) -> Format:
    """The format that is asked for, else the one that the file's ending says; raises `InputError` for another."""
    name = asked or path.suffix.removeprefix(".").lower()
    for known in FORMATS:
        if name == known:
            return known
    if asked:
        fail("format", f"{asked!r} is unknown", f"use one of {', '.join(FORMATS)}")
    fail("out", f"{str(path)!r} is none of {', '.join(FORMATS)}", "end the file's name with .html, .pdf, .png or .md")


def write_report(study: Study, path: Path, *, layout: Format, command: str, made: str) -> None:
    """Write the report of a study to `path`, whole or not at all.

    command: the command line that makes it again. made: by what and when.
    Raises `MissingExtraError` where a package is not installed, `InputError` where the file can't be written.
    """
    told = content(study, command=command, made=made)
    try:
        if layout == "html":
            from offramp.reports.page import html

            contents = {path: html(told).encode()}
        elif layout == "md":
            from offramp.reports.markdown import markdown

            folder = path.with_name(f"{path.stem}_files")
            text, beside = markdown(told, folder=folder.name)
            if beside:
                folder.mkdir(parents=True, exist_ok=True)
            contents = {**{folder / name: data for name, data in beside.items()}, path: text.encode()}
        else:
            from offramp.reports.paper import paper

            contents = {path: paper(told, layout)}
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"reports need {error.name}: pip install 'offramp[report]'") from error
    replace_files(contents)


def _named(results: Result | Iterable[Result]) -> list[tuple[str, RunResult | Validation]]:
    """Each result with its file's name, or the number that it was given as."""
    if isinstance(results, BundleRun | RunResult | Validation | str | Path):
        results = [results]
    wanted = "what run or validate gave, or the path of what it wrote"
    if not isinstance(results, Iterable):
        fail("results", f"is {type(results).__name__}", f"give {wanted}")
    named: list[tuple[str, RunResult | Validation]] = []
    for number, result in enumerate(results, 1):
        match result:
            case BundleRun():
                named.append((f"run {number}", result.result))
            case RunResult():
                named.append((f"run {number}", result))
            case Validation():
                named.append((f"validation {number}", result))
            case _:
                path = path_of(f"results[{number - 1}]", result, wanted)
                named.append((path.name, read_result(path)))
    return named
