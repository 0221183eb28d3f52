"""What a plan's pieces cost in time: computation on a tier, transfers between tiers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from offramp.core.checks import FloatArray
from offramp.core.energy import EnergyCosts
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
    energy: what all that takes; None where the topology doesn't say.
    """

    source: int
    destination: int
    compute_s: FloatArray
    propagation_s: FloatArray
    transmission_s: FloatArray
    serialization_s: FloatArray
    energy: EnergyCosts | None = None
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
        costs = Costs(
            source=topology.index(topology.source),
            destination=topology.index(topology.destination),
            compute_s=tiers.compute_s,
            propagation_s=propagation_s(topology),
            transmission_s=transmission_s(topology, self.bits),
            serialization_s=serialization,
        )
        energy = EnergyCosts.of(
            topology,
            compute_s=tiers.compute_s,
            send_s=costs.send_s,
            serialize_s=tiers.serialize_s,
            deserialize_s=tiers.deserialize_s,
            bits=self.bits,
        )
        return replace(costs, energy=energy)

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

    Store-and-forward (EdgeSys'22): the sum of bits / BW_j. Pipelined: `_pipelined_s`.
    """
    rates = np.array([link.bandwidth_bits_per_s for link in topology.links])
    whole = _between_tiers(bits / rates[:, None])
    if topology.mtu_bits is None:
        return whole
    table = whole.copy()
    for a in range(len(topology.tiers) - 2):
        table[a, a + 2 :] = _pipelined_s(rates[a:], bits, topology.mtu_bits)[1:]
        table[-1 - a, : -2 - a] = _pipelined_s(rates[::-1][a:], bits, topology.mtu_bits)[:0:-1]
    # One fragment is the whole object, and several are never slower: not by rounding either.
    return np.where(bits > topology.mtu_bits, np.minimum(table, whole), whole)


def _pipelined_s(rates: FloatArray, bits: FloatArray, mtu_bits: float) -> FloatArray:
    """[L, O] when the last bit of each object has crossed the first 1 .. L links, in seconds, without propagation.

    rates: [L] BW_j of the links in the order in which they are crossed.
    bits: [O] more than a MTU each; others are not fragmented, and what is here of them has no meaning.

    An object is cut into F = ceil(bits / MTU) fragments: F-1 of MTU bits, and one of the r bits that are left.
    Each is stored and forwarded by itself, so fragment f has crossed link j at

        C(f, j) = max(C(f, j-1), C(f-1, j)) + s_f / BW_j,

    when it has arrived whole, the link is free, and its s_f bits have been sent. Unrolled, C(F, L) is the longest of
    all paths from (1, 1) to (F, L) that go on by a fragment or by a link at each step, every pair (f, j) on the way
    counting s_f / BW_j. Let k be the link where a path goes over to the last fragment. It counts MTU / BW_j once for
    each j <= k, MTU again for each of the F-2 other steps by a fragment, which are best made all on the slowest link
    up to k, and r / BW_j for each j >= k:

        C(F, L) = max over k of  MTU * (sum_{j<=k} 1/BW_j + (F-2) / min_{j<=k} BW_j) + r * sum_{j>=k} 1/BW_j.

    It never exceeds store-and-forward of the whole object, sum_j bits / BW_j: on each link a path counts some of the
    fragments, and all of them together are the object. It equals that for one link, where a path counts them all, and
    for one fragment.

    PORTEND (ICPADS 2023, section III) has (F-1) * MTU / min BW + sum_j MTU / BW_j, which is this for r = MTU: it
    charges a whole MTU for the last fragment, however short, and so can exceed store-and-forward.
    """
    fragments = np.ceil(bits / mtu_bits)
    rest = bits - (fragments - 1) * mtu_bits
    crossed = np.cumsum(1 / rates)[:, None]
    before = crossed - 1 / rates[:, None]
    slowest = np.maximum.accumulate(1 / rates)[:, None]
    by_link = mtu_bits * (crossed + (fragments - 2) * slowest) - rest * before
    return np.asarray(np.maximum.accumulate(by_link, axis=0) + rest * crossed)


def _between_tiers(by_link: FloatArray) -> FloatArray:
    """[M-1, ...] by link to [M, M, ...] from tier to tier: the sum over the links between.

    The links crossed from tier a to b are min(a,b) .. max(a,b)-1. EdgeSys'22 prints its sums up to the tier itself
    (j = A_k .. A_{k+1}); a line of M tiers has M-1 links, and this is what the sum means.
    """
    m = len(by_link) + 1
    table = np.zeros((m, m, *by_link.shape[1:]))
    for a in range(m - 1):
        table[a, a + 1 :] = table[a + 1 :, a] = np.add.accumulate(by_link[a:], axis=0)
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
