"""The map of which plan wins where, drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from offramp.sweeps.regimes import UNMET, Axis, RegimeMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Paul Tol's "muted" scheme, which color-blind readers can tell apart; gray is for what has no color of its own.
REGIME_COLORS = ("#88CCEE", "#CC6677", "#DDCC77", "#117733", "#332288", "#AA4499", "#44AA99", "#999933", "#882255")
OTHER_COLOR = "#BBBBBB"


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
    legend = [Patch(facecolor=color, label=text) for color, text in zip(REGIME_COLORS, picture.regimes, strict=False)]
    if len(picture.regimes) > named:
        legend.append(Patch(facecolor=OTHER_COLOR, label=f"{len(picture.regimes) - named} others"))
    if picture.count(UNMET):
        legend.append(Patch(facecolor="white", edgecolor="0.6", label="no plan meets the requirement"))
    ax.set_title(picture.title)
    ax.legend(handles=legend, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0, frameon=False, fontsize=8)


def _set_axis(ax: Axes, which: Literal["x", "y"], axis: Axis) -> None:
    from matplotlib.ticker import EngFormatter, StrMethodFormatter

    ax.set(**{f"{which}label": axis.label, f"{which}scale": "log" if axis.log else "linear"})
    numbers = EngFormatter(axis.unit) if axis.unit else StrMethodFormatter("{x:g}")
    getattr(ax, f"{which}axis").set_major_formatter(numbers)
