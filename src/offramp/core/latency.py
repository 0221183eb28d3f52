"""What a plan's pieces cost in time: computation on a tier, transfers between tiers."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from offramp.core.checks import FloatArray
from offramp.core.profile import Profile, Timing
from offramp.core.topology import Tier, Topology
from offramp.errors import fail


class ComputeSource(Enum):
    """Which measurements make up compute()."""

    BLOCKS = "blocks"
    """The sum of block times and one branch time (EdgeSys'22)."""
    PARTITIONS = "partitions"
    """Each partition measured as a whole (PORTEND: RMSE 0.11 ms where blocks give 0.76 ms)."""


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """Everything a plan can spend time on, in seconds, for a profile on a topology.

    M tiers and N blocks; tiers count from 0. Objects that travel count 0 = the input, i = the output of block i,
    N+1 = the result.

    source, destination: tiers.
    compute_s: [M, N+1, N+1] entry [j, p, q] runs blocks p+1..q and branch q on tier j; infinite unless p < q.
    propagation_s: [M, M] from tier to tier.
    transmission_s, serialization_s: [M, M, N+2] of an object from tier to tier; zero from a tier to itself.
    send_s: [M, M, N+2] the three together: send(a, b, bits) of the performance model.
    """

    source: int
    destination: int
    compute_s: FloatArray
    propagation_s: FloatArray
    transmission_s: FloatArray
    serialization_s: FloatArray
    send_s: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        whole = self.propagation_s[:, :, None] + self.transmission_s + self.serialization_s
        object.__setattr__(self, "send_s", whole)


def costs(profile: Profile, topology: Topology, *, compute: ComputeSource | None = None) -> Costs:
    """What everything costs on that topology.

    compute: which measurements to use; by default whole partitions for the devices that have them, else blocks.
    Raises `InputError` where a tier's device was not measured, or not in that way.
    """
    timings = [_timing(profile, tier) for tier in topology.tiers]
    factors = [1.0 if tier.slowdown is None else tier.slowdown for tier in topology.tiers]
    bits = profile.backbone.object_bits
    m = len(topology.tiers)
    propagation = np.zeros((m, m))
    transmission = np.zeros((m, m, len(bits)))
    serialization = np.zeros((m, m, len(bits)))
    for a in range(m):
        for b in range(m):
            if a != b:
                propagation[a, b] = topology.propagation_s(a, b)
                transmission[a, b] = [topology.transmission_s(a, b, size) for size in bits]
                serialization[a, b] = factors[a] * timings[a].serialize_s + factors[b] * timings[b].deserialize_s
    return Costs(
        source=topology.index(topology.source),
        destination=topology.index(topology.destination),
        compute_s=np.stack(
            [
                factor * _compute_s(timing, compute, f"tiers[{j}]")
                for j, (factor, timing) in enumerate(zip(factors, timings, strict=True))
            ]
        ),
        propagation_s=propagation,
        transmission_s=transmission,
        serialization_s=serialization,
    )


def _timing(profile: Profile, tier: Tier) -> Timing:
    device = profile.reference_device if tier.device is None else tier.device
    if device is None:
        fail(f"tier {tier.name}", "has a slowdown and the profile no reference_device", "name a measured device")
    if device not in profile.timings:
        fail(f"tier {tier.name}", f"the profile has no device {device!r}", f"use one of {', '.join(profile.timings)}")
    return profile.timings[device]


def _compute_s(timing: Timing, source: ComputeSource | None, place: str) -> FloatArray:
    """[N+1, N+1] compute(first..last) without the slowdown: CB_last + the sum of CK_i (EdgeSys'22, section 2.2)."""
    if source is None:
        source = ComputeSource.BLOCKS if timing.partition_s is None else ComputeSource.PARTITIONS
    n = timing.blocks
    table = np.full((n + 1, n + 1), np.inf)
    above = np.triu_indices(n)
    if source is ComputeSource.PARTITIONS:
        if timing.partition_s is None:
            fail(place, "its device has no partition_s", "use compute from blocks")
        table[:-1, 1:][above] = timing.partition_s[above]
    else:
        if timing.block_s is None or timing.branch_s is None:
            fail(place, "its device has no block_s", "use compute from partitions")
        before = np.concatenate([[0.0], np.cumsum(timing.block_s)])
        table[:-1, 1:][above] = (before[None, 1:] - before[:-1, None] + timing.branch_s[None, :])[above]
    return table
