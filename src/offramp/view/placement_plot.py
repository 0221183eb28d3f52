"""A plan drawn on its topology: tiers down the page, partitions on them, lines as wide as the samples are many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from offramp.view.frontier import COLORS
from offramp.view.text import rate, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from offramp.view.placement import Hop, PlacedPartition, Placement, PlacementRow

# Inches on the paper: the axes count in them, so that text and boxes keep their proportions at any width.
_TIER_WIDTH, _GAP, _BOX, _LANE = 1.3, 0.18, 0.6, 0.25
_TIER_HEIGHT, _LINK_HEIGHT, _BOX_HEIGHT = 0.58, 0.34, 0.36
_APART = 0.085
# Points: how wide the line of all samples is drawn, and the least that can be seen.
_ALL, _LEAST = 8.0, 1.2
_LONG_NAME, _LONGEST_NAME = 14, 21
_ROOMY = 6.0
_SAMPLES, _EXIT = COLORS[1], COLORS[0]


def placement_height(placement: Placement) -> float:
    """How high the drawing is, in inches."""
    return sum(map(_height, placement.rows))


def draw_placement(placement: Placement, ax: Axes, *, width: float) -> None:
    """Draw on `ax`, which is `width` inches wide: what runs where, and the exits' shares and latencies."""
    middles = _middles(placement.rows)
    line = _TIER_WIDTH + _GAP + _BOX / 2
    lanes = max((hop.lane for hop in placement.hops), default=0)
    lane = min(_LANE, 0.2 * width / max(1, lanes))
    # Where words begin: right of every lane.
    words = line + _BOX / 2 + lane * lanes + 0.18
    for hop in placement.hops:
        _draw_hop(ax, hop, placement.rows, middles, line=line, lane=lane)
    for row, y in zip(placement.rows, middles, strict=True):
        if row.tier:
            _draw_tier(ax, row.tier.name, row, y)
        if row.link:
            text = f"{rate(row.link.bandwidth_bits_per_s)}, {seconds(row.link.latency_s)}"
            ax.text(_TIER_WIDTH / 2, y, text, ha="center", va="center", fontsize=8, alpha=0.8)
        if row.partition:
            _draw_partition(ax, row.partition, y, line=line, words=words, width=width)
        elif row.is_source:
            ax.scatter(line, y, s=80, color=_SAMPLES, zorder=4)
            ax.text(words, y, "samples start", va="center", fontsize=9, alpha=0.8)
    ax.set(xlim=(0, width), ylim=(-placement_height(placement), 0))
    ax.axis("off")


def _height(row: PlacementRow) -> float:
    return _LINK_HEIGHT if row.link else _TIER_HEIGHT


def _middles(rows: Sequence[PlacementRow]) -> list[float]:
    """[n] where each row has its middle, the first row on top, downwards."""
    below, middles = 0.0, []
    for row in rows:
        middles.append(below - _height(row) / 2)
        below -= _height(row)
    return middles


def _draw_tier(ax: Axes, name: str, row: PlacementRow, y: float) -> None:
    from matplotlib import rcParams
    from matplotlib.patches import FancyBboxPatch

    high = _TIER_HEIGHT - 0.12
    box = FancyBboxPatch(
        (0.04, y - high / 2),
        _TIER_WIDTH - 0.08,
        high,
        boxstyle="round,pad=0,rounding_size=0.06",
        facecolor="none",
        edgecolor=rcParams["text.color"],
        linewidth=0.8,
        alpha=0.45 if not row.active else 0.9,
    )
    ax.add_patch(box)
    name = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    ax.text(
        _TIER_WIDTH / 2,
        y + (0.08 if row.role else 0),
        name,
        ha="center",
        va="center",
        fontsize=9 if len(name) <= _LONG_NAME else 7,
    )
    ax.text(_TIER_WIDTH / 2, y - 0.1, row.role, ha="center", va="center", fontsize=7, alpha=0.8)


def _draw_hop(
    ax: Axes, hop: Hop, rows: Sequence[PlacementRow], middles: Sequence[float], *, line: float, lane: float
) -> None:
    start, end = middles[hop.start], middles[hop.end]
    if hop.lane:
        across = line + _BOX / 2 + lane * (hop.lane - 0.25)
        # What comes in and what goes out must not run together.
        start, end = start - (_APART if rows[hop.start].partition else 0.0), end + _APART
        xs, ys = [line, across, across, line + _BOX / 2], [start, start, end, end]
    else:
        xs, ys = [line, line], [start, end]
    width = _width(hop.share)
    ax.plot(xs, ys, color=_SAMPLES, linewidth=width, solid_joinstyle="round", solid_capstyle="butt", zorder=2)
    if hop.lane:
        ax.scatter(line + _BOX / 2 + 0.03, end, marker="<", s=22 + 3 * width, color=_SAMPLES, zorder=4)


def _draw_partition(ax: Axes, partition: PlacedPartition, y: float, *, line: float, words: float, width: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    box = FancyBboxPatch(
        (line - _BOX / 2, y - _BOX_HEIGHT / 2),
        _BOX,
        _BOX_HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.07",
        facecolor=COLORS[5],
        edgecolor="none",
        zorder=3,
    )
    ax.add_patch(box)
    ax.text(line, y, partition.blocks, ha="center", va="center", fontsize=9.5, color="white", weight="bold", zorder=5)
    others = [] if partition.threshold is None else [f"T={partition.threshold:g}", partition.continuing]
    if width < _ROOMY:
        ax.text(words, y + 0.09, partition.exiting, va="center", fontsize=8.5)
        ax.text(words, y - 0.1, ", ".join(others), va="center", fontsize=7.5, alpha=0.8)
        return
    # The off-ramp: as long as the share of samples that take it.
    most = 1.7
    ax.plot((words, words + most), (y, y), color=_EXIT, linewidth=7, alpha=0.22, solid_capstyle="butt")
    ax.plot(
        (words, words + most * max(0.0, partition.exit_rate)), (y, y), color=_EXIT, linewidth=7, solid_capstyle="butt"
    )
    ax.text(words + most + 0.12, y + (0.09 if others else 0), partition.exiting, va="center", fontsize=9)
    ax.text(words + most + 0.12, y - 0.1, ", ".join(others), va="center", fontsize=8, alpha=0.8)


def _width(share: float) -> float:
    return max(_LEAST, _ALL * min(1.0, share))
