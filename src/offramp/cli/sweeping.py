"""`offramp sweep`: which plan wins where, over a grid of links and tiers."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.options import ComputesOption, ExitsOption, JsonOption, ProfileArgument, TopologyOption

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from offramp.core.planner import Requirement
    from offramp.sweeps.many import Row
    from offramp.sweeps.regimes import Axis, RegimeMap

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def sweep(
    profile: ProfileArgument,
    vary: Annotated[
        list[str],
        typer.Option(help='What to vary and how: "links[0].bandwidth=100kb/s..10Mb/s", or a list. Once or twice.'),
    ],
    topology: TopologyOption = "mobile",
    steps: Annotated[int, typer.Option(help="How many values a range has, each the same factor above the last.")] = 24,
    min_accuracy: Annotated[
        float | None, typer.Option(help="Floor on accuracy, 0 to 1: the fastest plan wins.")
    ] = None,
    max_latency: Annotated[
        str | None, typer.Option(help="Limit on latency, e.g. 300ms: the most accurate plan wins.")
    ] = None,
    requirements: Annotated[
        str | None, typer.Option(help="A YAML file of requirements; options take precedence.")
    ] = None,
    exit_model: ExitsOption = None,
    compute: ComputesOption = None,
    workers: Annotated[int | None, typer.Option(help="How many threads plan. [default: one per core]")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the map into this PNG, SVG or PDF.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write a row for each combination to this Parquet file.")] = None,
    json: JsonOption = False,
) -> None:
    """Map which plan wins where: the optimal plan for every combination of one or two varied numbers.

    Varied can be bandwidth and latency of links and slowdowns of tiers, by their place in the topology's file.

    Example: offramp sweep resnet20-digits --min-accuracy 0.9
    --vary "links[0].bandwidth=100kb/s..10Mb/s" --vary "tiers[0].slowdown=10..1000"
    """
    from offramp.core.exits import ExitModelName
    from offramp.core.latency import ComputeSource
    from offramp.errors import fail
    from offramp.files import read_profile, read_requirements, read_topology
    from offramp.sweeps.grid import grid
    from offramp.sweeps.many import plan_many, write_parquet
    from offramp.sweeps.regimes import RegimeMap

    stated = {"min_accuracy": min_accuracy, "max_latency": max_latency}
    asked = read_requirements(requirements, {key: value for key, value in stated.items() if value is not None})
    if asked.requirement is None:
        fail("requirement", "is missing", "give --min-accuracy, e.g. 0.9, or --max-latency, e.g. 300ms")
    if asked.confidence is not None:
        fail("confidence", "a sweep certifies nothing", "leave it out, and certify one plan with offramp plan")
    wanted = grid(read_topology(topology), vary=_varied(vary), steps=steps)
    rows = plan_many(
        read_profile(profile),
        wanted,
        asked.requirement,
        exits=None if exit_model is None else ExitModelName(exit_model.value),
        compute=None if compute is None else ComputeSource(compute.value),
        options=asked.options,
        workers=workers,
    )
    found: list[Row] = []
    kept = _kept(_followed(rows, total=len(wanted)), found)
    if out:
        write_parquet(kept, out)
    else:
        deque(kept, maxlen=0)
    picture = RegimeMap.of(wanted, found, title=f"{wanted.topology.name}: {_aim(asked.requirement)}")
    if figure:
        from offramp.view.frontier import save_figure

        save_figure(picture, figure)
    if json:
        from offramp.cli.output import print_json

        print_json(_document(picture, found))
    else:
        print_map(picture)
        for reason in sorted({row.reason for row in found if row.reason}):
            print(f"not everywhere: {reason}")


def _varied(options: list[str]) -> dict[str, str]:
    from offramp.errors import fail

    varied: dict[str, str] = {}
    for each in options:
        path, equals, values = each.partition("=")
        if not equals:
            fail("--vary", f"{each!r} gives no values", 'write e.g. "links[0].bandwidth=100kb/s..10Mb/s"')
        if path.strip() in varied:
            fail("--vary", f"{path.strip()} is given twice", "keep one of the two")
        varied[path.strip()] = values
    if len(varied) > 2:
        fail("--vary", f"is given {len(varied)} times", "a map has two axes: give it once or twice")
    return varied


def _followed(rows: Iterable[Row], *, total: int) -> Iterator[Row]:
    """The rows, with a bar on standard error where that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(rows, "planning", total=total, console=console, transient=True, disable=not console.is_terminal)


def _kept(rows: Iterable[Row], found: list[Row]) -> Iterator[Row]:
    for row in rows:
        found.append(row)
        yield row


def _aim(requirement: Requirement) -> str:
    from offramp.view.text import requirement_words

    asked = requirement_words(requirement)
    aim = "most accurate" if requirement.min_accuracy is None else "fastest"
    return f"the {aim} plan with {asked}"


def _document(picture: RegimeMap, rows: list[Row]) -> dict[str, Any]:
    return {
        "title": picture.title,
        "axes": [
            {"label": axis.label, "unit": axis.unit, "values": list(axis.values)}
            for axis in (picture.x, picture.y)
            if axis is not None
        ],
        "regimes": [{"text": text, "cells": picture.count(i)} for i, text in enumerate(picture.regimes)],
        "rows": [row.record() for row in rows],
    }


def print_map(picture: RegimeMap) -> None:
    """Show the map in the terminal: a letter and a color for each regime, the second parameter upwards."""
    from rich.console import Console
    from rich.text import Text

    from offramp.sweeps.regimes import UNMET

    console = Console()
    console.print(picture.title, highlight=False)
    labels = [""] if picture.y is None else [_value(picture.y, value) for value in picture.y.values]
    margin = max(map(len, labels))
    across = max(1, min(2, (console.width - margin - 1) // len(picture.x.values)))
    if picture.y:
        console.print(picture.y.label, highlight=False, style="dim")
    for label, cells in reversed(list(zip(labels, picture.cells, strict=True))):
        line = Text(f"{label:>{margin}} ")
        for cell in cells:
            line.append(_letter(cell) * across, style=_style(cell))
        console.print(line, no_wrap=True, crop=True)
    first, last = _value(picture.x, picture.x.values[0]), _value(picture.x, picture.x.values[-1])
    width = across * len(picture.x.values)
    console.print(f"{'':{margin}} {first}{last:>{max(len(last) + 1, width - len(first))}}", highlight=False)
    console.print(f"{'':{margin}} {picture.x.label}\n", highlight=False, style="dim")
    hidden = range(len(_LETTERS), len(picture.regimes))
    entries = [(i, text, picture.count(i)) for i, text in enumerate(picture.regimes[: len(_LETTERS)])]
    if hidden:
        entries.append((hidden[0], f"{len(hidden)} others", sum(map(picture.count, hidden))))
    if picture.count(UNMET):
        entries.append((UNMET, "no plan meets the requirement", picture.count(UNMET)))
    for cell, text, count in entries:
        console.print(Text(f" {_letter(cell)} ", style=_style(cell)), f"{text}  [dim]{count}[/]", highlight=False)


def _letter(cell: int) -> str:
    if cell < 0:
        return "."
    return _LETTERS[cell] if cell < len(_LETTERS) else "+"


def _style(cell: int) -> str:
    from offramp.view.frontier import OTHER_COLOR, REGIME_COLORS

    if cell < 0:
        return ""
    color = REGIME_COLORS[cell] if cell < len(REGIME_COLORS) else OTHER_COLOR
    dark = color in ("#117733", "#332288", "#882255", "#AA4499")
    return f"{'white' if dark else 'black'} on {color}"


def _value(axis: Axis, value: float) -> str:
    from offramp.view.text import rate, seconds

    return {"b/s": rate, "s": seconds, "": lambda number: f"{number:.4g}"}[axis.unit](value)
