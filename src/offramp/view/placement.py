"""A plan on its topology, row by row from the device down to the cloud: the record that all drawings of it share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from offramp.core.estimate import EstimatedPlan
from offramp.core.topology import Link, Tier, Topology
from offramp.view.text import percent, seconds


@dataclass(frozen=True, slots=True)
class PlacedPartition:
    """A partition on its tier.

    first, last: its blocks, from 1.
    tier: the name of the tier.
    threshold: the score at or below which samples exit; None for the last partition, where all exit.
    exit_rate, continue_rate: shares of all samples.
    latency_s: of samples that exit here.
    """

    first: int
    last: int
    tier: str
    threshold: float | None
    exit_rate: float
    continue_rate: float
    latency_s: float

    @property
    def blocks(self) -> str:
        """Its blocks as text: `1-7`."""
        return f"{self.first}-{self.last}" if self.last > self.first else str(self.first)

    @property
    def exiting(self) -> str:
        """How many samples exit and when: `88.89 % exit after 275 ms`."""
        return f"{percent(self.exit_rate)} exit after {seconds(self.latency_s)}"

    @property
    def continuing(self) -> str:
        """How many continue: `11.11 % continue`; empty for the last partition."""
        return "" if self.threshold is None else f"{percent(self.continue_rate)} continue"


@dataclass(frozen=True, slots=True)
class PlacementRow:
    """A row of a drawing.

    tier: the tier whose first row this is, else None.
    role: of that tier: `source, destination`, one of the two, or empty.
    link: the link to the next tier where the row lies between the two, else None.
    is_source: whether samples start at this row.
    partition: the partition in this row, if there is one.
    """

    tier: Tier | None = None
    role: str = ""
    link: Link | None = None
    is_source: bool = False
    partition: PlacedPartition | None = None

    @property
    def active(self) -> bool:
        """Whether samples start or are computed here, and don't only pass by."""
        return self.is_source or self.partition is not None


@dataclass(frozen=True, slots=True)
class Hop:
    """Samples sent from one row to another.

    lane: 0 for the line that runs through all active rows, for hops down to the very next of them; others have a lane
        of their own wherever they pass others.
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
    """The rows of a plan on its topology, and the hops of the samples along them, in order.

    plan: as text. topology, source, destination: names.
    """

    plan: str
    topology: str
    source: str
    destination: str
    rows: tuple[PlacementRow, ...]
    hops: tuple[Hop, ...]

    @classmethod
    def of(cls, topology: Topology, estimated: EstimatedPlan) -> Placement:
        """The placement of a plan on the topology that it was estimated for."""
        numbered = tuple(_rows(topology, estimated))
        row_of = {number: i for i, (number, _) in enumerate(numbered) if number is not None}
        stops = [row_of[number] for number in sorted(row_of)]
        shares = (*((1.0,) if 0 in row_of else ()), *estimated.estimate.stay_rates)
        hops: list[Hop] = []
        for (start, end), share in zip(itertools.pairwise(stops), shares, strict=False):
            between = range(min(start, end) + 1, max(start, end))
            straight = start < end and not any(stop in between for stop in stops)
            lane = 0 if straight else 1
            while lane and any(hop.lane == lane and set(hop.rows) & {start, *between, end} for hop in hops):
                lane += 1
            hops.append(Hop(start, end, lane, share))
        return cls(
            plan=str(estimated.plan),
            topology=topology.name,
            source=topology.source,
            destination=topology.destination,
            rows=tuple(row for _, row in numbered),
            hops=tuple(hops),
        )

    @property
    def partitions(self) -> tuple[PlacedPartition, ...]:
        """The partitions, by tier from the device on."""
        return tuple(row.partition for row in self.rows if row.partition is not None)


def _rows(topology: Topology, estimated: EstimatedPlan) -> Iterator[tuple[int | None, PlacementRow]]:
    """Each row with the number of its partition, from 1; 0 for a source that runs none at first, None for others."""
    plan = estimated.plan
    for j, tier in enumerate(topology.tiers):
        role = ", ".join(role for role in ("source", "destination") if getattr(topology, role) == tier.name)
        source = tier.name == topology.source
        rows: list[tuple[int | None, PlacementRow]] = []
        if source and plan.placement[0] != tier.name:
            rows.append((0, PlacementRow(is_source=True)))
        for k, placed in enumerate(plan.placement):
            if placed == tier.name:
                row = PlacementRow(is_source=source and k == 0, partition=_partition(estimated, k))
                rows.append((k + 1, row))
        number, first = rows[0] if rows else (None, PlacementRow())
        yield number, PlacementRow(tier, role, is_source=first.is_source, partition=first.partition)
        yield from rows[1:]
        if j < len(topology.links):
            yield None, PlacementRow(link=topology.links[j])


def _partition(estimated: EstimatedPlan, k: int) -> PlacedPartition:
    plan, predicted = estimated.plan, estimated.estimate
    first, last = plan.blocks[k]
    return PlacedPartition(
        first=first,
        last=last,
        tier=plan.placement[k],
        threshold=(*plan.thresholds, None)[k],
        exit_rate=predicted.exit_rates[k],
        continue_rate=predicted.stay_rates[k],
        latency_s=predicted.exit_latency_s[k],
    )
