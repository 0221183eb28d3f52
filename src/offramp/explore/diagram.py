"""A plan on its topology as SVG: samples as a road, exits as its off-ramps, answers as roads to the destination.

Everything is laid out along the line of tiers and across it, and then turned: the line runs to the right on wide
pages, downwards on narrow ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from offramp.core.topology import Tier
from offramp.explore.colors import DARK, LIGHT
from offramp.explore.svg import fitted, rounded, text
from offramp.view.placement import PlacedPartition, Placement
from offramp.view.text import percent, rate, seconds

# Pixels: how wide the road of all samples is, and the least that can be seen.
_ALL, _LEAST = 22.0, 2.0
_LANE = 26.0
# So small it may be shown; where there is less room, it is scrolled.
_LEAST_SIZE = 0.75


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Lengths of rows along the line, and places across it; all in pixels.

    link, idle, active: how long a link is, a tier that only forwards, a partition or the place where samples start.
    head: along the line, before the first row of a tier. top: across it, before the lanes.
    box: half of a partition's box, along and across.
    road, end: from the last lane to the middle of the road, and from there to the edge of a tier.
    ramps: from that edge to the first answer.
    """

    link: float
    idle: float
    active: float
    head: float
    top: float
    box: tuple[float, float]
    road: float
    end: float
    ramps: float


_WIDE = _Sizes(link=86, idle=128, active=148, head=0, top=62, box=(58, 22), road=36, end=52, ramps=58)
_TALL = _Sizes(link=44, idle=52, active=78, head=40, top=4, box=(22, 46), road=62, end=206, ramps=20)


def diagram(placement: Placement, *, blocks: int, upright: bool, alone: bool = False) -> str:
    """The drawing of a plan, as an `<svg>` element that can stand in a page.

    blocks: how many the backbone has. upright: whether the line of tiers runs downwards.
    alone: whether it is to be a file of its own, which brings its colors along.
    """
    line = _Line(placement, _TALL if upright else _WIDE, blocks, upright)
    width, height = line.turned(line.length, line.depth)
    title, description = escape(f"{placement.plan} on {placement.topology}"), escape(" ".join(told(placement)))
    style = ""
    if alone:
        dark = f"@media (prefers-color-scheme: dark) {{ svg {{ {DARK.css()} }} }}"
        style = f"<style>svg {{ {LIGHT.css()} background: var(--paper); font-family: sans-serif; }} {dark}</style>"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="diagram" role="img" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" style="min-width: {_LEAST_SIZE * width:.0f}px" font-size="13" '
        f'fill="var(--ink)">'
    )
    return f"{head}{style}<title>{title}</title><desc>{description}</desc>{''.join(line.drawn())}</svg>"


def told(placement: Placement) -> Iterator[str]:
    """The drawing in sentences."""
    yield f"Samples start on {placement.source}."
    for partition in placement.partitions:
        shares = ", ".join(filter(None, (partition.exiting, partition.continuing)))
        yield f"Blocks {partition.blocks} run on {partition.tier}: of all samples {shares}."
    yield f"Answers go to {placement.destination}."


@dataclass(frozen=True, slots=True)
class _Line:
    """The line of tiers, laid out."""

    placement: Placement
    sizes: _Sizes
    blocks: int
    upright: bool

    @property
    def lanes(self) -> int:
        return max((hop.lane for hop in self.placement.hops), default=0)

    @property
    def road(self) -> float:
        return self.sizes.top + _LANE * self.lanes + self.sizes.road

    @property
    def edge(self) -> float:
        return self.road + self.sizes.end

    @property
    def depth(self) -> float:
        return self.edge + self.sizes.ramps + _ALL + 10

    @property
    def length(self) -> float:
        end = self.spans[-1][1] + 4
        if self.upright:
            return end
        # What stands beside a ramp may reach beyond the last tier.
        rows = zip(self.middles, self.placement.rows, strict=True)
        return max(end, max(middle for middle, row in rows if row.partition) + 140)

    @property
    def spans(self) -> list[tuple[float, float]]:
        """[rows] where each begins and ends along the line."""
        spans, at = [], 4.0
        for row in self.placement.rows:
            sizes = self.sizes
            length = sizes.link if row.link else sizes.active if row.active else sizes.idle
            length += sizes.head if row.tier and row.active else 0.0
            spans.append((at, at + length))
            at += length
        return spans

    @property
    def middles(self) -> list[float]:
        """[rows] along the line, below the head of a tier."""
        heads = [self.sizes.head if row.tier and row.active else 0.0 for row in self.placement.rows]
        return [(begin + head + end) / 2 for (begin, end), head in zip(self.spans, heads, strict=True)]

    def turned(self, along: float, across: float) -> tuple[float, float]:
        """The place as x and y."""
        return (across, along) if self.upright else (along, across)

    def drawn(self) -> Iterator[str]:
        yield from self._tiers()
        yield from self._links()
        yield from self._hops()
        yield from self._answers()
        for row, middle in zip(self.placement.rows, self.middles, strict=True):
            if row.partition:
                yield from self._partition(row.partition, middle)
            elif row.is_source:
                yield self._dot(middle)
                x, y = self.turned(middle, self.road)
                place = (x + 56, y + 4, "start") if self.upright else (x, y + 38, "middle")
                yield text(*place[:2], "samples start", anchor=place[2], faint=True)

    def _tiers(self) -> Iterator[str]:
        for at, row in enumerate(self.placement.rows):
            if row.tier is None:
                continue
            rows = self._rows_of_tier(at)
            begin, end = self.spans[rows[0]][0], self.spans[rows[-1]][1]
            x, y = self.turned(begin, 4)
            width, height = self.turned(end - begin, self.edge - 4)
            idle = "" if row.active else ' stroke-dasharray="4 4"'
            yield (
                f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="12" fill="var(--card)" '
                f'stroke="var(--line)" stroke-width="1.5"{idle}/>'
            )
            name, speed = fitted(row.tier.name, 17), _speed(row.tier)
            if self.upright:
                left = self.road + self.sizes.box[1] + 10
                yield text(left, y + 21, name, bold=True)
                yield text(left, y + 38, row.role or speed, faint=True, size=12)
            else:
                yield text(x + 12, y + 21, name, bold=True)
                yield text(x + 12, y + 38, speed, faint=True, size=12)
                yield text(x + 12, y + 54, row.role, faint=True, size=12)

    def _rows_of_tier(self, first: int) -> range:
        """The rows of the tier whose first row that is."""
        rows = self.placement.rows
        return range(first, next((i for i in range(first, len(rows)) if rows[i].link), len(rows)))

    def _links(self) -> Iterator[str]:
        for row, (begin, end) in zip(self.placement.rows, self.spans, strict=True):
            if row.link is None:
                continue
            (x1, y1), (x2, y2) = self.turned(begin, self.road), self.turned(end, self.road)
            yield f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" stroke="var(--line)" stroke-width="3"/>'
            words = rate(row.link.bandwidth_bits_per_s), seconds(row.link.latency_s)
            x, y = self.turned((begin + end) / 2, self.road)
            if self.upright:
                yield text(x + 18, y + 4, ", ".join(words), size=12)
            else:
                yield text(x, y - 17, words[0], anchor="middle", size=12)
                yield text(x, y + 27, words[1], anchor="middle", size=12)

    def _hops(self) -> Iterator[str]:
        """The samples, from partition to partition."""
        rows = self.placement.rows
        for hop in self.placement.hops:
            start, end = self.middles[hop.start], self.middles[hop.end]
            width = _width(hop.share)
            if not hop.lane:
                yield self._ribbon([(start, self.road), (end, self.road)], width, "var(--samples)")
                continue
            across = self.road - self.sizes.road + 6 - _LANE * (hop.lane - 0.5)
            tip = self.road - self.sizes.box[1]
            # What goes out and what comes in must not run together.
            start += (0.6 if end > start else -0.6) * self.sizes.box[0]
            out = self.road - (self.sizes.box[1] if rows[hop.start].partition else 0)
            yield self._ribbon([(start, out), (start, across), (end, across), (end, tip - 8)], width, "var(--samples)")
            yield self._arrow(end, tip, 1, "var(--samples)", width)

    def _answers(self) -> Iterator[str]:
        """The answers to the destination, one beside the other, the nearest inside."""
        rows = self.placement.rows
        destination = self._rows_of_tier(next(i for i, row in enumerate(rows) if "destination" in row.role))
        begin, end = self.spans[destination[0]][0], self.spans[destination[-1]][1]
        beside = any(rows[i].partition for i in destination)
        port = begin + (22 if self.upright else 26) if beside else (begin + end) / 2
        exits = [(middle, row.partition) for middle, row in zip(self.middles, rows, strict=True) if row.partition]
        shares = sum(max(0.0, partition.exit_rate) for _, partition in exits) or 1.0
        scale = min(1.0, _ALL / sum(_width(partition.exit_rate / shares) for _, partition in exits))
        widths = {middle: scale * _width(partition.exit_rate / shares) for middle, partition in exits}
        total = sum(widths.values())
        near = sorted(widths, key=lambda middle: abs(middle - port))
        before, after = [middle for middle in near if middle < port], [middle for middle in near if middle >= port]
        # Across the line at the port: those from before it, outermost first, then those from after it.
        places, edge = {}, port - total / 2
        for middle in (*reversed(before), *after):
            places[middle] = edge + widths[middle] / 2
            edge += widths[middle]
        depth = self.edge + self.sizes.ramps
        for middle in near:
            width = widths[middle]
            lane, depth = depth + width / 2, depth + width
            out = self.road + self.sizes.box[1]
            points = [(middle, out), (middle, lane), (places[middle], lane), (places[middle], self.edge + 9)]
            yield self._ribbon(points, width, "var(--exits)")
        yield self._arrow(port, self.edge, -1, "var(--exits)", total)

    def _partition(self, partition: PlacedPartition, middle: float) -> Iterator[str]:
        along, across = self.sizes.box
        x, y = self.turned(middle - along, self.road - across)
        wide, high = self.turned(2 * along, 2 * across)
        yield f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{high:g}" rx="8" fill="var(--block)"/>'
        label = f"{'block' if partition.first == partition.last else 'blocks'} {partition.blocks}"
        yield text(x + wide / 2, y + 18, label, anchor="middle", color="var(--on-block)", bold=True)
        # All blocks of the network, those that run here filled.
        step = (wide - 14) / self.blocks
        gap = min(2.0, 0.3 * step)
        for block in range(1, self.blocks + 1):
            opacity = 1 if partition.first <= block <= partition.last else 0.28
            left = x + 7 + (block - 1) * step + gap / 2
            yield (
                f'<rect x="{left:.2f}" y="{y + high - 16:g}" width="{step - gap:.2f}" height="9" rx="1" '
                f'fill="var(--on-block)" opacity="{opacity}"/>'
            )
        threshold = "" if partition.threshold is None else f"T={partition.threshold:g}"
        exiting, after = f"{percent(partition.exit_rate)} exit", f"after {seconds(partition.latency_s)}"
        if self.upright:
            yield text(x + wide + 10, y + 5, exiting, bold=True)
            yield text(x + wide + 10, y + high + 3, ", ".join(filter(None, (after, threshold))), size=12)
        else:
            ramp = _width(partition.exit_rate) / 2 + 8
            yield text(middle + ramp, self.road + across + 18, threshold, faint=True, size=12)
            yield text(middle + ramp, self.edge + 20, exiting, bold=True)
            yield text(middle + ramp, self.edge + 37, after, size=12)

    def _dot(self, middle: float) -> str:
        x, y = self.turned(middle, self.road)
        return f'<circle cx="{x:g}" cy="{y:g}" r="15" fill="var(--samples)"/>'

    def _ribbon(self, points: Sequence[tuple[float, float]], width: float, color: str) -> str:
        path = rounded([self.turned(*point) for point in points])
        return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{width:.2f}"/>'

    def _arrow(self, along: float, tip: float, towards: int, color: str, width: float) -> str:
        """The head of an arrow that points across the line, ending at `tip`."""
        half, back = width / 2 + 4, tip - 10 * towards
        corners = [(along - half, back), (along + half, back), (along, tip)]
        points = " ".join(f"{x:g},{y:g}" for x, y in (self.turned(*corner) for corner in corners))
        return f'<polygon points="{points}" fill="{color}"/>'


def _width(share: float) -> float:
    return max(_LEAST, _ALL * min(1.0, share))


def _speed(tier: Tier) -> str:
    return f"slowdown {tier.slowdown:.4g}" if tier.slowdown is not None else fitted(f"as {tier.device}", 18)
