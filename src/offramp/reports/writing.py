"""A report into its file, laid out as the file's ending says."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from offramp.errors import MissingExtraError, fail
from offramp.files.writing import replace_files
from offramp.reports.content import content
from offramp.reports.study import Study

Format = Literal["html", "pdf", "png", "md"]
FORMATS: tuple[Format, ...] = get_args(Format)


def format_of(path: Path, wanted: str | None) -> Format:
    """The format that is wanted, else the one that the file's ending says; raises `InputError` for another."""
    name = wanted or path.suffix.removeprefix(".").lower()
    for each in FORMATS:
        if name == each:
            return each
    place, given = ("--format", wanted) if wanted else ("--out", str(path))
    fail(place, f"{given!r} is none of {', '.join(FORMATS)}", "end the file's name with .html, .pdf, .png or .md")


def write_report(study: Study, path: Path, *, form: Format, command: str, made: str) -> None:
    """Write the report of a study to `path`, whole or not at all.

    command: the command line that makes it again. made: by what and when.
    Markdown has its figures and tables in a folder beside it, `NAME_files`.
    Raises `MissingExtraError` where a package is not installed, `InputError` where the file can't be written.
    """
    told = content(study, command=command, made=made)
    try:
        if form == "html":
            from offramp.reports.page import html

            contents = {path: html(told).encode()}
        elif form == "md":
            from offramp.reports.markdown import markdown

            folder = path.with_name(f"{path.stem}_files")
            text, beside = markdown(told, folder=folder.name)
            if beside:
                folder.mkdir(parents=True, exist_ok=True)
            contents = {**{folder / name: data for name, data in beside.items()}, path: text.encode()}
        else:
            from offramp.reports.paper import paper

            contents = {path: paper(told, form)}
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"reports need {error.name}: pip install 'offramp[report]'") from error
    replace_files(contents)
