"""The tables that say a plan, an estimate and a topology."""

from __future__ import annotations

from offramp.core.estimate import EstimatedPlan
from offramp.core.topology import Tier, Topology
from offramp.reports.blocks import Table
from offramp.reports.study import Candidate
from offramp.view.text import percent, rate, seconds


def partition_table(name: str, estimated: EstimatedPlan) -> Table:
    """A row for each partition: where it runs, and its exit."""
    plan, predicted = estimated.plan, estimated.estimate
    thresholds = (*(f"{threshold:g}" for threshold in plan.thresholds), "-")
    return Table(
        name,
        ("blocks", "tier", "threshold", "exit", "continue", "latency of exits"),
        tuple(
            (
                f"{first}-{last}" if last > first else str(first),
                plan.placement[k],
                thresholds[k],
                percent(predicted.exit_rates[k]),
                percent(predicted.stay_rates[k]),
                seconds(predicted.exit_latency_s[k]),
            )
            for k, (first, last) in enumerate(plan.blocks)
        ),
        numeric=frozenset({2, 3, 4, 5}),
    )


def terms_table(name: str, candidate: Candidate) -> Table:
    """The estimate of a plan, its terms, and its percentiles where it has a distribution."""
    predicted = candidate.estimated.estimate
    rows = [("accuracy", percent(predicted.accuracy)), ("mean latency", seconds(predicted.latency_s))]
    rows += [
        (f"of it {term}", seconds(getattr(predicted, f"{term}_s")))
        for term in ("compute", "propagation", "transmission", "serialization")
    ]
    if min(predicted.exit_rates) >= 0:
        rows += [(f"p{q} latency", seconds(predicted.percentile_s(q))) for q in (50, 95, 99)]
    if candidate.spread_s is not None:
        rows.append(("spread of the mean from run to run", seconds(candidate.spread_s)))
    return Table(name, ("", "predicted"), tuple(rows), numeric=frozenset({1}))


def tier_table(topology: Topology) -> Table:
    """A row for each tier, device first, with the link to the next."""
    rows = []
    for j, tier in enumerate(topology.tiers):
        link = topology.links[j] if j < len(topology.links) else None
        rows.append(
            (
                tier.name,
                _speed(tier),
                "-" if link is None else rate(link.bandwidth_bits_per_s),
                "-" if link is None else seconds(link.latency_s),
            )
        )
    columns = ("tier", "speed", "bandwidth to the next", "latency to the next")
    return Table("topology", columns, tuple(rows), numeric=frozenset({2, 3}))


def _speed(tier: Tier) -> str:
    if tier.slowdown is None:
        return f"measured as {tier.device}"
    if tier.slowdown == 1:
        return "as the reference device"
    return f"{tier.slowdown:g} times the reference's time"


def spread_out(count: int, kept: int | None, *, most: int) -> tuple[int, ...] | None:
    """At most `most` of `count` positions, evenly, both ends and `kept` among them; None for all of them."""
    if count <= most:
        return None
    picked = {round(i * (count - 1) / (most - 1)) for i in range(most)}
    if kept is not None and kept not in picked:
        picked.discard(min(picked - {0, count - 1}, key=lambda i: abs(i - kept)))
        picked.add(kept)
    return tuple(sorted(picked))
