"""A plan on its topology as SVG: the way of the samples as a road, exits as its off-ramps, answers on their way home.

Everything is laid out along the line of tiers and across it, and then turned: the line runs to the right on wide
pages, downwards on narrow ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from offramp.core.estimate import EstimatedPlan
from offramp.core.topology import Tier, Topology
from offramp.explore.colors import DARK, LIGHT
from offramp.explore.svg import fitted, rounded, text
from offramp.view.placement import Placement, Row, Stop
from offramp.view.text import percent, rate, seconds

# Pixels: how wide the way of all samples is, and the least that can be seen.
_ALL, _LEAST = 22.0, 2.0
_LANE = 26.0
# So small it may be shown; where there is less room, it is scrolled.
_LEAST_SIZE = 0.75


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Lengths of rows along the line, and places across it; all in pixels.

    link, idle, stop: how long a link is, a tier that only forwards, a partition or the place where samples arise.
    head: along the line, before the first row of a tier. top: across it, before the lanes.
    box: half of a partition's box, along and across.
    road, end: from the last lane to the middle of the road, and from there to the edge of a tier.
    ramps: from that edge to the first answer.
    """

    link: float
    idle: float
    stop: float
    head: float
    top: float
    box: tuple[float, float]
    road: float
    end: float
    ramps: float


_WIDE = _Sizes(link=86, idle=128, stop=148, head=0, top=62, box=(58, 22), road=36, end=52, ramps=58)
_TALL = _Sizes(link=44, idle=52, stop=78, head=40, top=4, box=(22, 46), road=62, end=206, ramps=20)


def diagram(topology: Topology, estimated: EstimatedPlan, *, blocks: int, upright: bool, alone: bool = False) -> str:
    """The drawing of a plan, as an `<svg>` element that can stand in a page.

    blocks: how many the backbone has. upright: whether the line of tiers runs downwards.
    alone: whether it is to be a file of its own, which brings its colors along.
    """
    placement = Placement.of(topology, estimated)
    line = _Line(topology, placement, _TALL if upright else _WIDE, blocks, upright)
    width, height = line.turned(line.length, line.depth)
    title, description = escape(f"{estimated.plan} on {topology.name}"), escape(" ".join(told(topology, estimated)))
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


def told(topology: Topology, estimated: EstimatedPlan) -> Iterator[str]:
    """The drawing in sentences."""
    yield f"Samples arise at {topology.source}."
    for row in Placement.of(topology, estimated).rows:
        if row.stop:
            stop, tier = row.stop, estimated.plan.placement[_position(estimated, row.stop)]
            yield f"Blocks {stop.blocks} run on {tier}: {_leaving(stop)}{_going_on(stop)}."
    yield f"Answers go to {topology.destination}."


def _position(estimated: EstimatedPlan, stop: Stop) -> int:
    return next(k for k, (_, last) in enumerate(estimated.plan.blocks) if last == _last(stop))


def _last(stop: Stop) -> int:
    return int(stop.blocks.rpartition("-")[2])


def _leaving(stop: Stop) -> str:
    return f"{percent(stop.leave)} of all samples leave after {seconds(stop.latency_s)}"


def _going_on(stop: Stop) -> str:
    return "" if stop.threshold is None else f", {percent(stop.go_on)} go on"


@dataclass(frozen=True, slots=True)
class _Line:
    """The line of tiers, laid out."""

    topology: Topology
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
        # What stands beside a ramp may reach beyond the last tier.
        words = (
            0 if self.upright else max(m for m, row in zip(self.middles, self.placement.rows, strict=True) if row.stop)
        )
        return max(self.spans[-1][1] + 4, words + 140 if words else 0)

    @property
    def spans(self) -> list[tuple[float, float]]:
        """[rows] where each begins and ends along the line."""
        spans, at = [], 4.0
        for row in self.placement.rows:
            sizes = self.sizes
            length = sizes.link if row.link else sizes.stop if row.halts else sizes.idle
            length += sizes.head if row.tier and row.halts else 0.0
            spans.append((at, at + length))
            at += length
        return spans

    @property
    def middles(self) -> list[float]:
        """[rows] along the line, below the head of a tier."""
        heads = [self.sizes.head if row.tier and row.halts else 0.0 for row in self.placement.rows]
        return [(begin + head + end) / 2 for (begin, end), head in zip(self.spans, heads, strict=True)]

    def turned(self, along: float, across: float) -> tuple[float, float]:
        """The place as x and y."""
        return (across, along) if self.upright else (along, across)

    def drawn(self) -> Iterator[str]:
        yield from self._tiers()
        yield from self._links()
        yield from self._way()
        yield from self._answers()
        for row, middle in zip(self.placement.rows, self.middles, strict=True):
            if row.stop:
                yield from self._partition(row.stop, middle)
            elif row.arise:
                yield self._dot(middle)
                x, y = self.turned(middle, self.road)
                place = (x + 56, y + 4, "start") if self.upright else (x, y + 38, "middle")
                yield text(*place[:2], "samples arise", anchor=place[2], faint=True)

    def _tiers(self) -> Iterator[str]:
        for tier in self.topology.tiers:
            begin, end, rows = self._extent(tier.name)
            x, y = self.turned(begin, 4)
            width, height = self.turned(end - begin, self.edge - 4)
            idle = "" if any(row.halts for row in rows) else ' stroke-dasharray="4 4"'
            yield (
                f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="12" fill="var(--card)" '
                f'stroke="var(--line)" stroke-width="1.5"{idle}/>'
            )
            role = ", ".join(r for r in ("source", "destination") if getattr(self.topology, r) == tier.name)
            name = fitted(tier.name, 17)
            if self.upright:
                left = self.road + self.sizes.box[1] + 10
                yield text(left, y + 21, name, bold=True)
                yield text(left, y + 38, role or _speed(tier), faint=True, size=12)
            else:
                yield text(x + 12, y + 21, name, bold=True)
                yield text(x + 12, y + 38, _speed(tier), faint=True, size=12)
                yield text(x + 12, y + 54, role, faint=True, size=12)

    def _extent(self, tier: str) -> tuple[float, float, list[Row]]:
        """Where a tier begins and ends along the line, and its rows."""
        rows = self.placement.rows
        first = next(i for i, row in enumerate(rows) if row.tier == tier)
        last = next((i for i in range(first, len(rows)) if rows[i].link), len(rows)) - 1
        return self.spans[first][0], self.spans[last][1], list(rows[first : last + 1])

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

    def _way(self) -> Iterator[str]:
        """The way of the samples."""
        rows = self.placement.rows
        for hop in self.placement.hops:
            start, end = self.middles[hop.start], self.middles[hop.end]
            width = _width(hop.share)
            if not hop.lane:
                yield self._ribbon([(start, self.road), (end, self.road)], width, "var(--way)")
                continue
            across = self.road - self.sizes.road + 6 - _LANE * (hop.lane - 0.5)
            tip = self.road - self.sizes.box[1]
            # What goes out and what comes in must not run together.
            start += (0.6 if end > start else -0.6) * self.sizes.box[0]
            out = self.road - (self.sizes.box[1] if rows[hop.start].stop else 0)
            yield self._ribbon([(start, out), (start, across), (end, across), (end, tip - 8)], width, "var(--way)")
            yield self._arrow(end, tip, 1, "var(--way)", width)

    def _answers(self) -> Iterator[str]:
        """The way of the answers home, one beside the other, the nearest inside."""
        begin, end, rows = self._extent(self.topology.destination)
        port = (begin + end) / 2 if not any(row.stop for row in rows) else begin + (22 if self.upright else 26)
        leaving = [
            (middle, row.stop) for row, middle in zip(self.placement.rows, self.middles, strict=True) if row.stop
        ]
        shares = sum(max(0.0, stop.leave) for _, stop in leaving) or 1.0
        scale = min(1.0, _ALL / sum(_width(stop.leave / shares) for _, stop in leaving))
        near = sorted(leaving, key=lambda each: abs(each[0] - port))
        before = [stop for middle, stop in near if middle < port]
        after = [stop for middle, stop in near if middle >= port]
        widths = {stop.blocks: scale * _width(stop.leave / shares) for _, stop in leaving}
        total = sum(widths.values())
        # Across the line at the port: those from before it, outermost first, then those from after it.
        places, at = {}, port - total / 2
        for stop in (*reversed(before), *after):
            places[stop.blocks] = at + widths[stop.blocks] / 2
            at += widths[stop.blocks]
        depth = self.edge + self.sizes.ramps
        for middle, stop in near:
            width = widths[stop.blocks]
            lane, depth = depth + width / 2, depth + width
            out = self.road + self.sizes.box[1]
            points = [(middle, out), (middle, lane), (places[stop.blocks], lane), (places[stop.blocks], self.edge + 9)]
            yield self._ribbon(points, width, "var(--leave)")
        yield self._arrow(port, self.edge, -1, "var(--leave)", total)

    def _partition(self, stop: Stop, middle: float) -> Iterator[str]:
        along, across = self.sizes.box
        x, y = self.turned(middle - along, self.road - across)
        wide, high = self.turned(2 * along, 2 * across)
        yield f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{high:g}" rx="8" fill="var(--block)"/>'
        single = "-" not in stop.blocks
        label = f"{'block' if single else 'blocks'} {stop.blocks}"
        yield text(x + wide / 2, y + 18, label, anchor="middle", color="var(--on-block)", bold=True)
        # All blocks of the network, those that run here filled.
        first, last = int(stop.blocks.partition("-")[0]), _last(stop)
        each = (wide - 14) / self.blocks
        gap = min(2.0, 0.3 * each)
        for block in range(1, self.blocks + 1):
            opacity = 1 if first <= block <= last else 0.28
            left = x + 7 + (block - 1) * each + gap / 2
            yield (
                f'<rect x="{left:.2f}" y="{y + high - 16:g}" width="{each - gap:.2f}" height="9" rx="1" '
                f'fill="var(--on-block)" opacity="{opacity}"/>'
            )
        threshold = "" if stop.threshold is None else f"T={stop.threshold:g}"
        leave, after = f"{percent(stop.leave)} leave", f"after {seconds(stop.latency_s)}"
        if self.upright:
            yield text(x + wide + 10, y + 5, leave, bold=True)
            yield text(x + wide + 10, y + high + 3, ", ".join(filter(None, (after, threshold))), size=12)
        else:
            ramp = _width(stop.leave) / 2 + 8
            yield text(middle + ramp, self.road + across + 18, threshold, faint=True, size=12)
            yield text(middle + ramp, self.edge + 20, leave, bold=True)
            yield text(middle + ramp, self.edge + 37, after, size=12)

    def _dot(self, middle: float) -> str:
        x, y = self.turned(middle, self.road)
        return f'<circle cx="{x:g}" cy="{y:g}" r="15" fill="var(--way)"/>'

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
