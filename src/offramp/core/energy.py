"""What an answer costs in energy, tier by tier: a term for each thing that a tier spends it on.

A tier computes, and turns objects into bytes and back, at its busy power. The source waits at its idle power for the
rest of the time to the answer; other tiers serve others meanwhile. A bit costs both ends of each link that it crosses.
The source's radio is on from the first bit that it sends to the answer, at the power of the link that this bit takes,
and then for one tail. A sample that never leaves the source switches no radio on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offramp.core.checks import FloatArray
from offramp.core.topology import Topology

# The source's radio: off, or on at the power of the link toward the device, or toward the cloud.
OFF, DEVICE_SIDE, CLOUD_SIDE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class TierEnergy:
    """What a tier spends on an answer, in joules, on average.

    compute_j: while it computes, and turns objects into bytes and back.
    waiting_j: while it waits for the answer; only the source does.
    sending_j: for the bits that it sends and receives.
    radio_j: while its radio is on until the answer; only the source's counts.
    tail_j: after the answer, until its radio is off.
    """

    compute_j: float = 0.0
    waiting_j: float = 0.0
    sending_j: float = 0.0
    radio_j: float = 0.0
    tail_j: float = 0.0

    @property
    def total_j(self) -> float:
        """All of it."""
        return self.compute_j + self.waiting_j + self.sending_j + self.radio_j + self.tail_j


@dataclass(frozen=True, slots=True)
class Energy:
    """What an answer costs, in joules, on average.

    tiers: by name, in the order of the topology.
    """

    tiers: dict[str, TierEnergy]

    @property
    def total_j(self) -> float:
        """Of all tiers together."""
        return sum(tier.total_j for tier in self.tiers.values())


@dataclass(frozen=True, slots=True, eq=False)
class EnergyCosts:
    """What everything costs in energy. M tiers and N blocks, counted as in `Costs`.

    names: [M] of the tiers.
    source: the tier where samples arise.
    compute_s, send_s: as in `Costs`.
    serialize_s, deserialize_s: [M, N+2] the tier's part in sending an object, and in receiving it.
    bits: [N+2] what travels.
    busy_w: [M] power of a tier that is busy. idle_w: power of the source while it waits.
    bit_j: [M, M, M] entry [t, a, b] is what a bit on its way from tier a to b costs tier t.
    radio_w, tail_s: [3] by state of the source's radio, zero for `OFF`.
    """

    names: tuple[str, ...]
    source: int
    compute_s: FloatArray
    send_s: FloatArray
    serialize_s: FloatArray
    deserialize_s: FloatArray
    bits: FloatArray
    busy_w: FloatArray
    idle_w: float
    bit_j: FloatArray
    radio_w: FloatArray
    tail_s: FloatArray

    @classmethod
    def of(
        cls,
        topology: Topology,
        *,
        compute_s: FloatArray,
        send_s: FloatArray,
        serialize_s: FloatArray,
        deserialize_s: FloatArray,
        bits: FloatArray,
    ) -> "EnergyCosts | None":
        """The costs on a topology; None where that gives neither a power nor what sending takes."""
        if not topology.has_energy:
            return None
        source = topology.index(topology.source)
        sides = [topology.links[j] if 0 <= j < len(topology.links) else None for j in (source - 1, source)]
        return cls(
            names=tuple(tier.name for tier in topology.tiers),
            source=source,
            compute_s=compute_s,
            send_s=send_s,
            serialize_s=serialize_s,
            deserialize_s=deserialize_s,
            bits=bits,
            busy_w=np.array([tier.power_w for tier in topology.tiers]),
            idle_w=topology.tiers[source].idle_w,
            bit_j=_bit_j(topology),
            radio_w=np.array([0.0, *(0.0 if side is None else side.radio_w for side in sides)]),
            tail_s=np.array([0.0, *(0.0 if side is None else side.tail_s for side in sides)]),
        )

    def radio_toward(self, tier: int) -> int:
        """The state of the radio once the source's first bit has left toward that tier."""
        return DEVICE_SIDE if tier < self.source else CLOUD_SIDE

    def of_plan(
        self, ends: Sequence[int], tiers: Sequence[int], destination: int, exit_rates: Sequence[float]
    ) -> Energy:
        """What a plan's answers cost.

        ends, tiers: [L] last blocks of its partitions, and where they run. exit_rates: [L] shares that exit there.
        """
        spent = _Spent(self)
        radio = spent.send(1.0, self.source, tiers[0], 0, OFF)
        reaching, first = 1.0, 0
        for k, (end, tier) in enumerate(zip(ends, tiers, strict=True)):
            spent.run(reaching, tier, float(self.compute_s[tier, first, end]), radio)
            spent.send(exit_rates[k], tier, destination, len(self.bits) - 1, radio)
            reaching, first = reaching - exit_rates[k], end
            if k + 1 < len(tiers):
                radio = spent.send(reaching, tier, tiers[k + 1], end, radio)
        return spent.energy()

    def compute_j(self, weights: FloatArray, tiers: Sequence[int], radios: Sequence[int]) -> FloatArray:
        """[V, N+1, N+1] what running blocks p+1..q takes at each of V places: a tier, and a state of the radio.

        weights: [M] how much a joule counts by the tier that spends it.
        """
        own, source = np.array(tiers), weights[self.source]
        waiting_w = np.where(own == self.source, 0.0, source * self.idle_w)
        power_w = weights[own] * self.busy_w[own] + waiting_w + source * self.radio_w[np.array(radios)]
        seconds = np.where(np.isfinite(self.compute_s), self.compute_s, 0.0)[own]
        return np.asarray(power_w[:, None, None] * seconds)

    def send_j(self, weights: FloatArray, tiers: Sequence[int], radios: Sequence[int]) -> FloatArray:
        """[V, V, N+2] what sending an object takes, from place to place; weights and places as in `compute_j`.

        The radio is in the receiving place's state from the first bit on.
        """
        m, source = len(self.names), weights[self.source]
        # The source doesn't wait while it is busy.
        busy_w = weights * self.busy_w - np.where(np.arange(m) == self.source, source * self.idle_w, 0.0)
        by_tier = busy_w[:, None, None] * self.serialize_s[:, None] + busy_w[None, :, None] * self.deserialize_s
        by_tier += np.tensordot(weights, self.bit_j, axes=1)[:, :, None] * self.bits
        by_tier += source * self.idle_w * self.send_s
        a, radio = np.array(tiers), np.array(radios)
        watts = source * self.radio_w[radio][None, :, None]
        leaving = ((radio == OFF)[:, None] & (radio != OFF)[None, :])[:, :, None]
        on_s = self.send_s[a][:, a] - np.where(leaving, self.serialize_s[a][:, None], 0.0)
        on_s = on_s + np.where(leaving, self.tail_s[radio][None, :, None], 0.0)
        table = by_tier[a][:, a] + watts * on_s
        table[a[:, None] == a[None, :]] = 0.0
        return np.asarray(table)


class _Spent:
    """Adds up what tiers spend, step by step."""

    def __init__(self, costs: EnergyCosts) -> None:
        self._costs = costs
        self._compute_j, self._sending_j = np.zeros(len(costs.names)), np.zeros(len(costs.names))
        self._waiting_j = self._radio_j = self._tail_j = 0.0

    def run(self, share: float, tier: int, seconds: float, radio: int) -> None:
        """That share of the samples is computed on a tier for so long."""
        costs = self._costs
        self._compute_j[tier] += share * seconds * costs.busy_w[tier]
        self._wait(share * seconds, radio, busy_s=share * seconds if tier == costs.source else 0.0)

    def send(self, share: float, a: int, b: int, item: int, radio: int) -> int:
        """That share of the samples sends an object from tier a to b; the radio's state from then on."""
        costs = self._costs
        if a == b:
            return radio
        packing_s, unpacking_s = float(costs.serialize_s[a, item]), float(costs.deserialize_s[b, item])
        self._compute_j[a] += share * packing_s * costs.busy_w[a]
        self._compute_j[b] += share * unpacking_s * costs.busy_w[b]
        self._sending_j += share * costs.bits[item] * costs.bit_j[:, a, b]
        on_s = float(costs.send_s[a, b, item])
        busy_s = packing_s if a == costs.source else unpacking_s if b == costs.source else 0.0
        if radio == OFF:
            radio = costs.radio_toward(b)
            self._tail_j += share * float(costs.radio_w[radio] * costs.tail_s[radio])
            self._radio_j -= share * packing_s * float(costs.radio_w[radio])
        self._wait(share * on_s, radio, busy_s=share * busy_s)
        return radio

    def _wait(self, seconds: float, radio: int, *, busy_s: float) -> None:
        self._waiting_j += (seconds - busy_s) * self._costs.idle_w
        self._radio_j += seconds * float(self._costs.radio_w[radio])

    def energy(self) -> Energy:
        """All of it."""
        source = self._costs.source
        return Energy(
            {
                name: TierEnergy(
                    compute_j=float(self._compute_j[tier]),
                    waiting_j=self._waiting_j if tier == source else 0.0,
                    sending_j=float(self._sending_j[tier]),
                    radio_j=self._radio_j if tier == source else 0.0,
                    tail_j=self._tail_j if tier == source else 0.0,
                )
                for tier, name in enumerate(self._costs.names)
            }
        )


def _bit_j(topology: Topology) -> FloatArray:
    """[M, M, M] what a bit from tier a to b costs tier t, as the sender and the receiver on links that it crosses."""
    m = len(topology.tiers)
    table = np.zeros((m, m, m))
    for a in range(m):
        for b in range(m):
            for j in range(min(a, b), max(a, b)):
                near, far = (j, j + 1) if a < b else (j + 1, j)
                table[near, a, b] += topology.links[j].send_j_per_bit
                table[far, a, b] += topology.links[j].receive_j_per_bit
    return table
