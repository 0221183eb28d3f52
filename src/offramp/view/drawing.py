"""Any picture drawn: on an axis, into a file, or as SVG in one ink for light and dark paper alike."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from offramp.errors import Fault, InputError, fail
from offramp.sweeps.regimes import RegimeMap
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
from offramp.view.regimes import draw_regimes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

Picture: TypeAlias = (
    Placement | FrontierPicture | TermsPicture | DistributionPicture | SystemsPicture | AgreementPicture | RegimeMap
)
"""A record of all that a picture shows."""

# An ink that nothing else is drawn in, to be told apart in the SVG.
_INK = "#010203"
# Inches; the narrow one is for phones, where the wide one would be too small to read.
WIDE, NARROW = 7.2, 4.1

_INKED: tuple[RcKeyType, ...] = (
    "text.color",
    "axes.edgecolor",
    "axes.labelcolor",
    "xtick.color",
    "ytick.color",
    "grid.color",
)
_STYLE: dict[RcKeyType, Any] = {
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


def draw(picture: Picture, ax: Axes, *, width: float = WIDE) -> None:
    """Draw the picture on `ax`, which is `width` inches wide."""
    match picture:
        case Placement():
            draw_placement(picture, ax, width=width)
        case FrontierPicture():
            draw_frontier(picture, ax)
        case TermsPicture():
            draw_terms(picture, ax)
        case DistributionPicture():
            draw_distribution(picture, ax)
        case SystemsPicture():
            draw_systems(picture, ax)
        case AgreementPicture():
            draw_agreement(picture, ax)
            ax.set_aspect("equal")
        case RegimeMap():
            draw_regimes(picture, ax)


def plotted(picture: Picture, ax: Axes | None = None) -> Axes:
    """The axis with the picture drawn on it: `ax`, or one of a new figure of the right size."""
    if ax is not None:
        if not hasattr(ax, "get_window_extent"):
            fail("ax", f"is {type(ax).__name__}", "give an axis of matplotlib, or None for a figure of its own")
        draw(picture, ax, width=ax.get_window_extent().width / ax.figure.dpi)
        return ax
    return _figure(picture).axes[0]


def save_figure(picture: Picture, path: Path) -> None:
    """Draw the picture into `path`; its suffix says whether as PNG, SVG or PDF. Raises `InputError` where it can't."""
    if path.suffix not in (".png", ".svg", ".pdf"):
        fail("--figure", f"{path} is neither .png nor .svg nor .pdf", "give the file one of those endings")
    figure = _figure(picture)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
    except OSError as error:
        fault = Fault("file", f"can't be written: {error.strerror or error}", "give a file in a folder that has room")
        raise InputError([fault], source=str(path)) from error


def svg(picture: Picture, *, name: str, ink: str, width: float = WIDE) -> str:
    """The picture as an `<svg>` element that can stand in a page.

    name: unlike that of any other picture of the page.
    ink: a CSS color, e.g. `currentColor`. width: `WIDE` or `NARROW`.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    name = name if width == WIDE else f"{name}-narrow"
    style: dict[RcKeyType, Any] = {**_STYLE, "svg.hashsalt": name, "svg.id": name}
    with rc_context(style):
        figure = Figure(figsize=(width, height_of(picture, width)), layout="constrained")
        ax = figure.subplots()
        draw(picture, ax, width=width)
        if isinstance(picture, FrontierPicture):
            ax.set_title("")
            legend_above(ax, columns=2)
            ax.spines[["top", "right"]].set_visible(False)
        if width < WIDE and ax.get_legend():
            legend_above(ax, columns=1 if isinstance(picture, FrontierPicture) else 2)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    drawn = text.getvalue()
    # matplotlib numbers its groups anew in each figure; nothing refers to them, and a page's ids must differ.
    drawn = re.sub(r'<g id="[^"]*"', "<g", drawn[drawn.index("<svg") :])
    return drawn.replace(_INK, ink)


def _figure(picture: Picture) -> Figure:
    """A new figure of the right size, with the picture drawn on its one axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_of(picture), height_of(picture, WIDE)), layout="constrained")
    draw(picture, figure.subplots(), width=width_of(picture))
    return figure


def width_of(picture: Picture) -> float:
    """How wide a figure of its own is, in inches."""
    if isinstance(picture, RegimeMap):
        return 11.0
    return 8.0 if isinstance(picture, FrontierPicture) else WIDE


def height_of(picture: Picture, width: float) -> float:
    """How high it is where it is `width` inches wide, in inches."""
    match picture:
        case Placement():
            return placement_height(picture)
        case TermsPicture():
            return (1.1 if width == WIDE else 1.3) + 0.45 * len(picture.labels)
        case SystemsPicture():
            return 0.7 + 0.29 * len(picture.systems)
        case AgreementPicture():
            return min(4.9, 1.1 * width)
        case RegimeMap():
            return 5.0 if picture.y else 2.5
        case _:
            return 4.2
