"""What every system is given to choose from, and the arithmetic that their spaces share.

The systems know a device, an edge and a cloud. Here the device is the first tier, the cloud the last, and each tier
between may be the edge: a system takes the one it finds best. With two tiers an edge device is the first and an edge
server the last.

Axes: K thresholds, N blocks, M tiers; p and q are blocks, 0 is the input.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from offramp.core.checks import BoolArray, FloatArray, IntArray
from offramp.core.exit_table import at_or_below
from offramp.core.exits import Additive, ExitModel, ExitModelName, PlanRates, Replay, exit_model
from offramp.core.latency import Costs
from offramp.core.planner import Planner
from offramp.core.profile import Meaning, Profile
from offramp.core.requirement import Requirement


@dataclass(frozen=True, slots=True)
class Choice:
    """What a system decides. L is the number of partitions.

    ends: [L] the last block of each partition.
    tiers: [L] where each runs, from 0; a tier that comes several times in a row has several exits.
    threshold: of every exit but the last; None where no sample exits before the last partition.
    """

    ends: tuple[int, ...]
    tiers: tuple[int, ...]
    threshold: float | None

    @property
    def has_exits(self) -> bool:
        """Whether a sample may exit before the last partition."""
        return self.threshold is not None and len(self.ends) > 1


@dataclass(frozen=True, slots=True)
class Option:
    """A choice as the system that considers it sees it: its own latency in seconds and its own accuracy."""

    latency_s: float
    accuracy: float
    choice: Choice


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What every system is given.

    planner: the full model of the profile on the topology, which judges every choice.
    requirement: what is asked for.
    marginal: PORTEND's exit model; where the profile has first-exit rates alone, those.
    branch_s: [M, N+1] time of the branch after a block on a tier, which `planner.costs.compute_s` includes; zero
        after the last block, whose branch is the network's own, and where branches were not timed on their own.
    branches_timed: [M] whether they were.
    branch_accuracy: [N+1] accuracy of each branch over all samples; entry 0 is not used.
    stay, accuracy: [K, N+1, N+1] share of samples that continue past exits after blocks p <= q, and accuracy when they
        are answered there and after block N. Blocks 0 and N stand for no exit, so row 0 is one exit alone.
    """

    planner: Planner
    requirement: Requirement
    marginal: ExitModel
    branch_s: FloatArray
    branches_timed: BoolArray
    branch_accuracy: FloatArray
    stay: FloatArray
    accuracy: FloatArray

    @classmethod
    def of(cls, profile: Profile, planner: Planner, requirement: Requirement) -> "Case":
        """The case of a planner's profile, which must be the one that it was made of."""
        exits = planner.exits
        n = len(profile.backbone.blocks)
        devices = [tier.device or profile.reference_device for tier in planner.topology.tiers]
        timings = [profile.timings[device] for device in devices if device is not None]
        factors = [1.0 if tier.slowdown is None else tier.slowdown for tier in planner.topology.tiers]
        branch_s = np.zeros((len(timings), n + 1))
        for row, factor, timing in zip(branch_s, factors, timings, strict=True):
            if timing.branch_s is not None:
                row[1:n] = factor * timing.branch_s[:-1]
        stay, accuracy = _two_exits(exits)
        rates = profile.exits
        marginal_known = profile.exit_table is not None or (rates is not None and rates.meaning is Meaning.MARGINAL)
        return cls(
            planner=planner,
            requirement=requirement,
            marginal=exit_model(profile, ExitModelName.MARGINAL, thresholds=exits.thresholds.tolist())
            if marginal_known
            else exits,
            branch_s=branch_s,
            branches_timed=np.array([timing.branch_s is not None for timing in timings]),
            branch_accuracy=np.array([0.0, *(exits.rates((i,), ()).accuracy for i in range(1, n + 1))]),
            stay=stay,
            accuracy=accuracy,
        )

    @property
    def blocks(self) -> int:
        """N, the number of blocks."""
        return len(self.branch_accuracy) - 1

    @property
    def tiers(self) -> range:
        """All tiers; the first is the device, the last the cloud."""
        return range(len(self.branch_s))

    @property
    def edge_devices(self) -> Sequence[int]:
        """The tiers between device and cloud; the device itself where there are none."""
        return self.tiers[1:-1] or self.tiers[:1]

    @property
    def edge_servers(self) -> Sequence[int]:
        """The tiers between device and cloud; the cloud itself where there are none."""
        return self.tiers[1:-1] or self.tiers[-1:]

    @property
    def transfer_costs(self) -> Costs:
        """The costs of a model in which a transfer takes bits over bandwidth and nothing else.

        No propagation, no serialization, and the result travels to its consumer in no time.
        """
        costs = self.planner.costs
        transmission = costs.transmission_s.copy()
        transmission[:, :, -1] = 0
        return replace(
            costs,
            propagation_s=np.zeros_like(costs.propagation_s),
            transmission_s=transmission,
            serialization_s=np.zeros_like(costs.serialization_s),
        )

    def rates(self, choice: Choice) -> PlanRates:
        """Exit rates and accuracy, by the full model."""
        exits, inner = self.planner.exits, len(choice.ends) - 1
        if choice.threshold is not None:
            return exits.rates(choice.ends, (choice.threshold,) * inner)
        last = exits.rates(choice.ends[-1:], ())
        return PlanRates((0.0,) * inner + last.exit_rates, (1.0,) * inner + last.stay_rates, last.accuracy)

    def costs(self, choice: Choice) -> Costs:
        """What things cost for that choice: where no sample exits at a cut, its branch does not run."""
        costs = self.planner.costs
        if choice.threshold is not None:
            return costs
        compute = costs.compute_s.copy()
        inner = list(choice.ends[:-1])
        # The parts were measured apart from the whole and need not add up: no time falls below zero.
        compute[:, :, inner] = np.maximum(compute[:, :, inner] - self.branch_s[:, None, inner], 0)
        return replace(costs, compute_s=compute)

    def pick(self, latency_s: FloatArray, accuracy: FloatArray) -> int:
        """Flat index of what `Planner.best` would answer among candidates with that latency and accuracy.

        Where none meets the requirement: the nearest, by the planner's own rule. The first of equal ones.
        """
        latency, right = latency_s.ravel(), accuracy.ravel()
        accurate = right >= self.requirement.floor
        among = accurate & (latency <= self.requirement.limit)
        by_accuracy = not self.requirement.wants_least
        if not among.any():
            among, by_accuracy = (accurate, False) if accurate.any() else (~accurate, True)
        keys = (latency, -right) if by_accuracy else (-right, latency)
        return int(np.lexsort((*keys, ~among))[0])

    def best(self, options: Sequence[Option]) -> Choice:
        """What `pick` takes among those options."""
        latency = np.array([option.latency_s for option in options])
        accuracy = np.array([option.accuracy for option in options])
        return options[self.pick(latency, accuracy)].choice


def parted(cut: int, last: int, *, near: int, far: int, threshold: float | None) -> Choice:
    """Blocks 1..cut on `near` and cut+1..last on `far`; one partition where either is empty."""
    if 0 < cut < last:
        return Choice((cut, last), (near, far), threshold)
    return Choice((last,), (near if cut else far,), None)


def one_cut_s(
    costs: Costs, *, near: int, far: int, last: int, stay: FloatArray, spared_s: FloatArray | float = 0.0
) -> FloatArray:
    """Mean latency of blocks 1..p on `near` and p+1..last on `far`, for every cut p; in seconds.

    stay: [..., N+1] share of samples that continue past the exit at p.
    spared_s: [N+1] time by which blocks 1..p are faster because no branch runs at p.
    Returns [..., last+1]; p = 0 and p = last are one partition.
    """
    send = costs.send_s
    start, answer = send[costs.source, :, 0], send[:, costs.destination, -1]
    p = np.arange(1, last)
    go = stay[..., p]
    first = np.maximum(costs.compute_s[near, 0, p] - np.broadcast_to(spared_s, stay.shape[-1:])[p], 0)
    latency = np.empty((*stay.shape[:-1], last + 1))
    latency[..., 0] = start[far] + costs.compute_s[far, 0, last] + answer[far]
    latency[..., last] = start[near] + costs.compute_s[near, 0, last] + answer[near]
    onward = send[near, far, p] + costs.compute_s[far, p, last] + answer[far]
    latency[..., p] = start[near] + first + (1 - go) * answer[near] + go * onward
    return latency


def two_cuts_s(costs: Costs, tiers: tuple[int, int, int], stay: FloatArray, p: IntArray, q: IntArray) -> FloatArray:
    """[K, pairs] mean latency of blocks 1..p, p+1..q and q+1..N on three tiers, in seconds.

    stay: [K, N+1, N+1] as in `Case`.
    p, q: [pairs] with 0 < p < q < N.
    """
    a, b, c = tiers
    send, compute = costs.send_s, costs.compute_s
    start, answer = send[costs.source, :, 0], send[:, costs.destination, -1]
    past_p, past_q = stay[:, 0, p], stay[:, p, q]
    at_a = start[a] + compute[a, 0, p] + (1 - past_p) * answer[a]
    at_b = past_p * (send[a, b, p] + compute[b, p, q]) + (past_p - past_q) * answer[b]
    at_c = past_q * (send[b, c, q] + compute[c, q, -1] + answer[c])
    latency: FloatArray = at_a + at_b + at_c
    return latency


def _two_exits(exits: ExitModel) -> tuple[FloatArray, FloatArray]:
    """`Case.stay` and `Case.accuracy`. O(K N^2 S / 64) for S samples."""
    if isinstance(exits, Additive):
        exited = exits.exited.copy()  # [K, N+1]
        exited[:, -1] = 0
        n, right = exited.shape[1] - 1, exits.branch_accuracy
        first = exited[:, :, None]  # by p
        by_q = np.where(np.arange(n + 1) == n, first, exited[:, None, :])  # [K, N+1, N+1]
        return 1 - by_q, first * right[:, None] + (by_q - first) * right + (1 - by_q) * right[-1]
    assert isinstance(exits, Replay)
    correct = np.pad(exits.table.correct, ((1, 0), (0, 0)))
    pairs = [_replayed(exits, correct, float(threshold)) for threshold in exits.thresholds]
    return np.stack([stay for stay, _ in pairs]), np.stack([accuracy for _, accuracy in pairs])


def _replayed(exits: Replay, correct: BoolArray, threshold: float) -> tuple[FloatArray, FloatArray]:
    """`_two_exits` for one threshold; correct: [N+1, S]."""
    exits_there = np.pad(at_or_below(exits.table.scores, threshold), ((1, 0), (0, 0)))
    exits_there[-1] = False
    go, right = ~exits_there, exits_there & correct
    stay = _shared(go, go)
    accuracy = right.sum(axis=1)[:, None] + _shared(go, right | (go & correct[-1]))
    return stay / exits.table.samples, accuracy / exits.table.samples


def _shared(a: BoolArray, b: BoolArray) -> IntArray:
    """[n, n] how many samples row i of `a` and row j of `b`, both [n, S], have in common."""
    # A product of matrices would say the same, but its threads stall where another program keeps the cores busy.
    width = ((0, 0), (0, -a.shape[1] % 64))
    a_words, b_words = (np.packbits(np.pad(rows, width), axis=1).view(np.uint64) for rows in (a, b))
    counts: IntArray = np.bitwise_count(a_words[:, None] & b_words).sum(axis=-1, dtype=np.int64)
    return counts
