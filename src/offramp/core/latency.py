"""What a plan's pieces cost in time: computation on a tier, transfers between tiers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from offramp.core.checks import FloatArray
from offramp.core.profile import Profile
from offramp.core.timing import Timing
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


@dataclass(frozen=True, slots=True, eq=False)
class TierTimes:
    """What the tiers of a topology spend themselves, in seconds; M tiers and N blocks, counted as in `Costs`.

    compute_s: [M, N+1, N+1] as in `Costs`.
    serialize_s, deserialize_s: [M, N+2] turning an object into bytes on that tier, and bytes into an object.
    """

    compute_s: FloatArray
    serialize_s: FloatArray
    deserialize_s: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What a profile says of time, ready to be estimated on any number of topologies. N is the number of blocks.

    bits: [N+2] sizes of everything that can travel, as in `Costs`, with what travels beside them.
    timings, reference_device: those of the profile.
    compute_s: by device, [N+1, N+1] as in `Costs`, without a slowdown; None where `compute` asks for what was not
        measured there.
    compute: which measurements were asked for.
    """

    bits: FloatArray
    timings: Mapping[str, Timing]
    reference_device: str | None
    compute_s: Mapping[str, FloatArray | None]
    compute: ComputeSource | None

    @classmethod
    def of(cls, profile: Profile, *, compute: ComputeSource | None = None) -> "Work":
        """The work of a profile.

        compute: which measurements to use; by default whole partitions for the devices that have them, else blocks.
        """
        return cls(
            bits=np.array(profile.backbone.object_bits, np.float64) + profile.overhead_bits,
            timings=profile.timings,
            reference_device=profile.reference_device,
            compute_s={device: _compute_s(timing, compute) for device, timing in profile.timings.items()},
            compute=compute,
        )

    def on(self, topology: Topology) -> Costs:
        """What everything costs on that topology.

        Raises `InputError` where a tier's device was not measured, or not in the way that was asked for.
        """
        tiers = self.tier_times(topology)
        serialization = tiers.serialize_s[:, None] + tiers.deserialize_s[None]
        # Nothing is serialized that stays on its tier.
        serialization[np.diag_indices(len(topology.tiers))] = 0.0
        return Costs(
            source=topology.index(topology.source),
            destination=topology.index(topology.destination),
            compute_s=tiers.compute_s,
            propagation_s=propagation_s(topology),
            transmission_s=transmission_s(topology, self.bits),
            serialization_s=serialization,
        )

    def tier_times(self, topology: Topology) -> TierTimes:
        """What the tiers spend themselves, slowdowns counted. Raises `InputError` as `on` does."""
        devices = [self._device(tier) for tier in topology.tiers]
        factors = np.array([1.0 if tier.slowdown is None else tier.slowdown for tier in topology.tiers])
        return TierTimes(
            compute_s=factors[:, None, None] * np.array([self._table(j, device) for j, device in enumerate(devices)]),
            serialize_s=factors[:, None] * np.array([self.timings[device].serialize_s for device in devices]),
            deserialize_s=factors[:, None] * np.array([self.timings[device].deserialize_s for device in devices]),
        )

    def _device(self, tier: Tier) -> str:
        device = self.reference_device if tier.device is None else tier.device
        if device is None:
            fail(f"tier {tier.name}", "has a slowdown and the profile no reference_device", "name a measured device")
        if device not in self.timings:
            known = ", ".join(self.timings)
            fail(f"tier {tier.name}", f"the profile has no device {device!r}", f"use one of {known}")
        return device

    def _table(self, j: int, device: str) -> FloatArray:
        table = self.compute_s[device]
        if table is None and self.compute is ComputeSource.PARTITIONS:
            fail(f"tiers[{j}]", "its device has no partition_s", "use compute from blocks")
        if table is None:
            fail(f"tiers[{j}]", "its device has no block_s", "use compute from partitions")
        return table


def transfer_s(topology: Topology, bits: FloatArray) -> FloatArray:
    """[M, M, n] seconds that objects of so many bits [n] take from tier to tier: propagation and transmission."""
    return propagation_s(topology)[:, :, None] + transmission_s(topology, bits)


def propagation_s(topology: Topology) -> FloatArray:
    """[M, M] propagation latency from tier to tier, in seconds: the sum of PL_j (EdgeSys'22, section 2.2)."""
    return _between_tiers(np.array([link.latency_s for link in topology.links]))


def transmission_s(topology: Topology, bits: FloatArray) -> FloatArray:
    """[M, M, O] time to push `bits` [O] from tier to tier, in seconds, without propagation.

    Store-and-forward (EdgeSys'22): the sum of bits / BW_j.
    Pipelined (PORTEND): (F-1) * MTU / min BW + sum of MTU / BW_j with F = ceil(bits / MTU) fragments.
    """
    rates = np.array([link.bandwidth_bits_per_s for link in topology.links])
    if topology.mtu_bits is None:
        return _between_tiers(bits / rates[:, None])
    waiting = (np.ceil(bits / topology.mtu_bits) - 1) * topology.mtu_bits
    slowest = _between_tiers(rates, np.minimum)
    np.fill_diagonal(slowest, np.inf)  # from a tier to itself there is nothing to wait for
    return waiting / slowest[:, :, None] + _between_tiers(topology.mtu_bits / rates)[:, :, None]


def _between_tiers(by_link: FloatArray, fold: np.ufunc = np.add) -> FloatArray:
    """[M-1, ...] by link to [M, M, ...] from tier to tier: folded over the links between; zero from a tier to itself.

    The links crossed from tier a to b are min(a,b) .. max(a,b)-1. EdgeSys'22 prints its sums up to the tier itself
    (j = A_k .. A_{k+1}); a line of M tiers has M-1 links, and this is what the sum means.
    """
    m = len(by_link) + 1
    table = np.zeros((m, m, *by_link.shape[1:]))
    for a in range(m - 1):
        table[a, a + 1 :] = table[a + 1 :, a] = fold.accumulate(by_link[a:], axis=0)
    return table


def _compute_s(timing: Timing, source: ComputeSource | None) -> FloatArray | None:
    """[N+1, N+1] compute(first..last) without the slowdown: CB_last + the sum of CK_i (EdgeSys'22, section 2.2)."""
    if source is None:
        source = ComputeSource.BLOCKS if timing.partition_s is None else ComputeSource.PARTITIONS
    n = timing.blocks
    table = np.full((n + 1, n + 1), np.inf)
    above = np.triu_indices(n)
    if source is ComputeSource.PARTITIONS:
        if timing.partition_s is None:
            return None
        table[:-1, 1:][above] = timing.partition_s[above]
    else:
        if timing.block_s is None or timing.branch_s is None:
            return None
        before = np.concatenate([[0.0], np.cumsum(timing.block_s)])
        table[:-1, 1:][above] = (before[None, 1:] - before[:-1, None] + timing.branch_s[None, :])[above]
    return table
