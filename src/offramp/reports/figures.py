"""Pictures as SVG, for any paper: all that is not data is drawn in one ink, and the background is left out."""

from __future__ import annotations

import io
import re
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from offramp.reports.blocks import Figure
from offramp.view.frontier import FrontierPicture, draw_frontier
from offramp.view.latency import (
    AgreementPicture,
    DistributionPicture,
    SystemsPicture,
    TermsPicture,
    draw_agreement,
    draw_distribution,
    draw_systems,
    draw_terms,
    legend_above,
)
from offramp.view.placement import Placement
from offramp.view.placement_plot import draw_placement, placement_height

# An ink that nothing else is drawn in, to be told apart in the SVG.
_INK = "#010203"
# Inches; the narrow one is for phones, where the wide one would be too small to read.
WIDE, NARROW = 7.2, 4.1

_INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color")
_STYLE = {
    **dict.fromkeys(_INKED, _INK),
    "axes.facecolor": "none",
    "axes.titlesize": 10,
    "figure.facecolor": "none",
    "font.size": 10,
    "grid.linewidth": 0.6,
    "legend.framealpha": 0.0,
    # A tier may be called $x^$.
    "text.parse_math": False,
    # Text stays text: small, searchable, and in the font of the page.
    "svg.fonttype": "none",
}


def svg(figure: Figure, *, ink: str, width: float = WIDE) -> str:
    """The figure as an `<svg>` element that can stand in a page.

    ink: a CSS color, e.g. `currentColor`. width: `WIDE` or `NARROW`.
    """
    name = figure.name if width == WIDE else f"{figure.name}-narrow"
    style: dict[str, Any] = {**_STYLE, "svg.hashsalt": name, "svg.id": name}
    with rc_context(style):
        canvas = Canvas(figsize=(width, _height(figure, width)), layout="constrained")
        ax = canvas.subplots()
        _draw(figure, ax, width)
        if width < WIDE and ax.get_legend():
            legend_above(ax, columns=1 if isinstance(figure.picture, FrontierPicture) else 2)
        text = io.StringIO()
        canvas.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    drawn = text.getvalue()
    # matplotlib numbers its groups anew in each figure; nothing refers to them, and a page's ids must differ.
    drawn = re.sub(r'<g id="[^"]*"', "<g", drawn[drawn.index("<svg") :])
    return drawn.replace(_INK, ink)


def _height(figure: Figure, width: float) -> float:
    picture = figure.picture
    if isinstance(picture, Placement):
        return placement_height(picture)
    if isinstance(picture, TermsPicture):
        return (1.1 if width == WIDE else 1.3) + 0.45 * len(picture.labels)
    if isinstance(picture, SystemsPicture):
        return 0.7 + 0.29 * len(picture.rows)
    if isinstance(picture, AgreementPicture):
        return min(4.9, 1.1 * width)
    return 4.2


def _draw(figure: Figure, ax: Axes, width: float) -> None:
    match figure.picture:
        case Placement():
            draw_placement(figure.picture, ax, width=width)
        case FrontierPicture():
            draw_frontier(figure.picture, ax)
            ax.set_title("")
            legend_above(ax, columns=2)
            ax.spines[["top", "right"]].set_visible(False)
        case TermsPicture():
            draw_terms(figure.picture, ax)
        case DistributionPicture():
            draw_distribution(figure.picture, ax)
        case SystemsPicture():
            draw_systems(figure.picture, ax)
        case AgreementPicture():
            draw_agreement(figure.picture, ax)
            ax.set_aspect("equal")
