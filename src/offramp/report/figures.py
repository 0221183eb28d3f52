"""Pictures as SVG, for any paper: all that is not data is drawn in one ink, and the background is left out."""

from __future__ import annotations

import io

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from offramp.plot import FrontierPicture, draw_frontier
from offramp.plot_results import (
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
from offramp.report.blocks import Figure

# An ink that nothing else is drawn in, to be told apart in the SVG.
_INK = "#010203"
_WIDTH = 7.2

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


def svg(figure: Figure, *, ink: str) -> str:
    """The figure as an `<svg>` element that can stand in a page.

    ink: a CSS color, e.g. `currentColor`.
    """
    with rc_context({**_STYLE, "svg.hashsalt": figure.name, "svg.id": figure.name}):
        canvas = Canvas(figsize=(_WIDTH, _height(figure)), layout="constrained")
        _draw(figure, canvas)
        text = io.StringIO()
        canvas.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :].replace(_INK, ink)


def _height(figure: Figure) -> float:
    picture = figure.picture
    if isinstance(picture, TermsPicture):
        return 1.1 + 0.45 * len(picture.labels)
    if isinstance(picture, SystemsPicture):
        return 0.7 + 0.29 * len(picture.rows)
    if isinstance(picture, AgreementPicture):
        return 5.6
    return 4.2


def _draw(figure: Figure, canvas: Canvas) -> None:
    ax = canvas.subplots()
    match figure.picture:
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
