"""The map of which plan wins where, drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from offramp.sweeps.regimes import UNMET, Axis, RegimeMap
from offramp.view.text import rate, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Paul Tol's "muted" scheme, which color-blind readers can tell apart; gray is for what has no color of its own.
REGIME_COLORS = ("#88CCEE", "#CC6677", "#DDCC77", "#117733", "#332288", "#AA4499", "#44AA99", "#999933", "#882255")
OTHER_COLOR = "#BBBBBB"

UNMET_TEXT = "no plan meets the requirement"


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A line of the map's legend.

    regime: its position in `RegimeMap.regimes`, the first of those that share the line, or `UNMET`.
    cells: how many it wins.
    """

    regime: int
    text: str
    cells: int

    @property
    def color(self) -> str | None:
        """What its cells are drawn in; None for those of the paper's color."""
        return regime_color(self.regime)


def regime_color(regime: int) -> str | None:
    """What the cells of a regime are drawn in; None for `UNMET`, whose cells have the paper's color."""
    if regime == UNMET:
        return None
    return REGIME_COLORS[regime] if regime < len(REGIME_COLORS) else OTHER_COLOR


def legend(picture: RegimeMap, *, most: int = len(REGIME_COLORS)) -> Iterator[LegendEntry]:
    """The legend of a map: at most so many regimes, a line for all others, and one for cells that none wins."""
    for number, text in enumerate(picture.regimes[:most]):
        yield LegendEntry(number, text, picture.count(number))
    others = range(most, len(picture.regimes))
    if others:
        yield LegendEntry(most, f"{len(others)} others", sum(map(picture.count, others)))
    if unmet := picture.count(UNMET):
        yield LegendEntry(UNMET, UNMET_TEXT, unmet)


def axis_text(axis: Axis, value: float) -> str:
    """A value of an axis as people read it: `500 kb/s`, `10 ms`, `1,000`."""
    if axis.unit == "b/s":
        return rate(value)
    if axis.unit == "s":
        return seconds(value)
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def draw_regimes(picture: RegimeMap, ax: Axes) -> None:
    """Draw on `ax`: a cell for each combination, a color for each regime, white where no plan is good enough."""
    import numpy as np
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    named = len(REGIME_COLORS)
    shown = np.minimum(np.array(picture.cells), named)
    y_edges = (0.0, 1.0) if picture.y is None else picture.y.edges
    colors = ListedColormap(["white", *REGIME_COLORS, OTHER_COLOR])
    ax.pcolormesh(picture.x.edges, y_edges, shown, cmap=colors, vmin=UNMET, vmax=named)
    _set_axis(ax, "x", picture.x)
    if picture.y is None:
        ax.set_yticks([])
    else:
        _set_axis(ax, "y", picture.y)
    patches = [
        Patch(facecolor=entry.color or "white", edgecolor=None if entry.color else "0.6", label=entry.text)
        for entry in legend(picture)
    ]
    ax.set_title(picture.title)
    ax.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0, frameon=False, fontsize=8)


def _set_axis(ax: Axes, which: Literal["x", "y"], axis: Axis) -> None:
    from matplotlib.ticker import EngFormatter, StrMethodFormatter

    ax.set(**{f"{which}label": axis.label, f"{which}scale": "log" if axis.log else "linear"})
    numbers = EngFormatter(axis.unit) if axis.unit else StrMethodFormatter("{x:g}")
    getattr(ax, f"{which}axis").set_major_formatter(numbers)
