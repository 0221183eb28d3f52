"""`offramp sweep`: which plan wins where, over a grid of links and tiers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offramp.cli.options import (
    JsonOption,
    ModelOptions,
    ProfileArgument,
    RequirementOptions,
    TopologyOption,
    flattened,
)

if TYPE_CHECKING:
    from offramp.sweeps.regimes import RegimeMap

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@flattened
def sweep(
    profile: ProfileArgument,
    vary: Annotated[
        list[str],
        typer.Option(help='What to vary and how: "links[0].bandwidth=100kb/s..10Mb/s", or a list. Once or twice.'),
    ],
    asked: RequirementOptions,
    model: ModelOptions,
    topology: TopologyOption = "mobile",
    steps: Annotated[int, typer.Option(help="How many values a range has, each the same factor above the last.")] = 24,
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
    from offramp.pipeline.sweep import sweep as sweep_grid

    swept = sweep_grid(
        profile,
        topology,
        asked.requirement(),
        vary=_varied(vary),
        steps=steps,
        **model.arguments(),
        workers=workers,
    )
    if out:
        swept.write(out)
    if figure:
        from offramp.view.drawing import save_figure

        save_figure(swept.picture, figure)
    if json:
        from offramp.cli.output import print_json

        print_json(swept.document())
    else:
        print_map(swept.picture)
        for reason in sorted({row.reason for row in swept.rows if row.reason}):
            print(f"not everywhere: {reason}")


def _varied(options: list[str]) -> dict[str, str]:
    from offramp.errors import fail

    varied: dict[str, str] = {}
    for option in options:
        path, equals, values = option.partition("=")
        if not equals:
            fail("--vary", f"{option!r} gives no values", 'write e.g. "links[0].bandwidth=100kb/s..10Mb/s"')
        if path.strip() in varied:
            fail("--vary", f"{path.strip()} is given twice", "keep one of the two")
        varied[path.strip()] = values
    return varied


def print_map(picture: RegimeMap) -> None:
    """Show the map in the terminal: a letter and a color for each regime, the second parameter upwards."""
    from rich.console import Console
    from rich.text import Text

    from offramp.view.regimes import axis_text, legend

    console = Console()
    console.print(picture.title, highlight=False)
    labels = [""] if picture.y is None else [axis_text(picture.y, value) for value in picture.y.values]
    margin = max(map(len, labels))
    across = max(1, min(2, (console.width - margin - 1) // len(picture.x.values)))
    if picture.y:
        console.print(picture.y.label, highlight=False, style="dim")
    for label, cells in reversed(list(zip(labels, picture.cells, strict=True))):
        line = Text(f"{label:>{margin}} ")
        for cell in cells:
            line.append(_letter(cell) * across, style=_style(cell))
        console.print(line, no_wrap=True, crop=True)
    first, last = (axis_text(picture.x, picture.x.values[at]) for at in (0, -1))
    width = across * len(picture.x.values)
    console.print(f"{'':{margin}} {first}{last:>{max(len(last) + 1, width - len(first))}}", highlight=False)
    console.print(f"{'':{margin}} {picture.x.label}\n", highlight=False, style="dim")
    for entry in legend(picture, most=len(_LETTERS)):
        mark = Text(f" {_letter(entry.regime)} ", style=_style(entry.regime))
        console.print(mark, f"{entry.text}  [dim]{entry.cells}[/]", highlight=False)


def _letter(cell: int) -> str:
    if cell < 0:
        return "."
    return _LETTERS[cell] if cell < len(_LETTERS) else "+"


def _style(cell: int) -> str:
    from offramp.view.regimes import regime_color

    color = regime_color(cell)
    if color is None:
        return ""
    dark = color in ("#117733", "#332288", "#882255", "#AA4499")
    return f"{'white' if dark else 'black'} on {color}"
