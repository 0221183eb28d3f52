"""A plan on its topology, row by row from the device down to the cloud: what the drawings of it share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from offramp.core.estimate import EstimatedPlan
from offramp.core.topology import Link, Topology


@dataclass(frozen=True, slots=True)
class Stop:
    """A partition, and what samples do there.

    blocks: its blocks, `1-7`.
    threshold: at or below it they leave; None for the last partition.
    leave, go_on: shares of all samples.
    latency_s: of those that leave here.
    """

    blocks: str
    threshold: float | None
    leave: float
    go_on: float
    latency_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a drawing.

    tier: its name where the row is the first of a tier, else empty.
    role: whether samples arise at that tier, and whether answers are used there: `source, destination`.
    link: what leads on to the next tier where the row lies between the two, else None.
    arise: whether samples start from this row.
    stop: the partition here, if there is one.
    """

    tier: str = ""
    role: str = ""
    link: Link | None = None
    arise: bool = False
    stop: Stop | None = None

    @property
    def halts(self) -> bool:
        """Whether samples are here, and don't only pass by."""
        return self.arise or self.stop is not None


@dataclass(frozen=True, slots=True)
class Hop:
    """The way of samples from one row to another.

    lane: 0 for the line that runs through all stops, which is for the way down to the very next of them; others have a
        lane of their own wherever they pass others.
    share: of all samples.
    """

    start: int
    end: int
    lane: int
    share: float

    @property
    def rows(self) -> range:
        """The rows it passes, both ends included."""
        return range(min(self.start, self.end), max(self.start, self.end) + 1)


@dataclass(frozen=True, slots=True)
class Placement:
    """The rows of a plan on its topology, and the way of the samples along them, in the order they go it."""

    rows: tuple[Row, ...]
    hops: tuple[Hop, ...]

    @classmethod
    def of(cls, topology: Topology, estimated: EstimatedPlan) -> Placement:
        """The placement of a plan on the topology that it was estimated for."""
        numbered = tuple(_rows(topology, estimated))
        at = {number: i for i, (number, _) in enumerate(numbered) if number is not None}
        stops = [at[number] for number in sorted(at)]
        shares = (*((1.0,) if 0 in at else ()), *estimated.estimate.stay_rates)
        hops: list[Hop] = []
        for (start, end), share in zip(itertools.pairwise(stops), shares, strict=False):
            between = range(min(start, end) + 1, max(start, end))
            straight = start < end and not any(stop in between for stop in stops)
            lane = 0 if straight else 1
            while lane and any(hop.lane == lane and set(hop.rows) & {start, *between, end} for hop in hops):
                lane += 1
            hops.append(Hop(start, end, lane, share))
        return cls(tuple(row for _, row in numbered), tuple(hops))


def _rows(topology: Topology, estimated: EstimatedPlan) -> Iterator[tuple[int | None, Row]]:
    """Each row with its number on the way of the samples, 0 where they arise."""
    plan = estimated.plan
    for j, tier in enumerate(topology.tiers):
        name, role = tier.name, _role(topology, tier.name)
        here = [k for k, placed in enumerate(plan.placement) if placed == tier.name]
        if tier.name == topology.source and plan.placement[0] != tier.name:
            yield 0, Row(name, role, arise=True)
            name = role = ""
        elif not here:
            yield None, Row(name, role)
        for k in here:
            yield k + 1, Row(name, role, arise=not k and tier.name == topology.source, stop=_stop(estimated, k))
            name = role = ""
        if j < len(topology.links):
            yield None, Row(link=topology.links[j])


def _stop(estimated: EstimatedPlan, k: int) -> Stop:
    (first, last), predicted = estimated.plan.blocks[k], estimated.estimate
    return Stop(
        blocks=f"{first}-{last}" if last > first else str(first),
        threshold=(*estimated.plan.thresholds, None)[k],
        leave=predicted.exit_rates[k],
        go_on=predicted.stay_rates[k],
        latency_s=predicted.exit_latency_s[k],
    )


def _role(topology: Topology, tier: str) -> str:
    roles = ("source", "destination")
    return ", ".join(role for role in roles if getattr(topology, role) == tier)
