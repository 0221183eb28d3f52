"""What a plan would achieve: the performance model."""

import itertools
from dataclasses import dataclass
from enum import Enum

import numpy as np

from offramp.core.checks import FloatArray, IntArray
from offramp.core.codec import InputCodec
from offramp.core.energy import Energy
from offramp.core.exits import ExitModel, PlanRates
from offramp.core.latency import Costs
from offramp.core.plan import Plan
from offramp.core.topology import Topology
from offramp.errors import fail


@dataclass(frozen=True, slots=True)
class Estimate:
    """Predicted accuracy and latency of a plan, with its terms. L is the number of partitions.

    accuracy: share of samples answered right.
    latency_s: mean over all samples, from a sample's start at the source to its answer at the destination; the sum
        of the four terms below.
    exit_rates, stay_rates: [L] shares of all samples that exit at partition k, and that continue past it.
    compute_s, propagation_s, transmission_s, serialization_s: the terms of the mean.
    exit_latency_s: [L] latency of a sample that exits at partition k.
    energy: what an answer takes, by tier; None where the topology doesn't say what that depends on.
    """

    accuracy: float
    latency_s: float
    exit_rates: tuple[float, ...]
    stay_rates: tuple[float, ...]
    compute_s: float
    propagation_s: float
    transmission_s: float
    serialization_s: float
    exit_latency_s: tuple[float, ...]
    energy: Energy | None = None

    def percentile_s(self, percent: float) -> float:
        """The least latency that `percent` of a hundred samples don't exceed, in seconds.

        Needs exit rates that are shares: the marginal model's may be negative, and then there is no distribution.
        """
        if min(self.exit_rates) < 0:
            fail("exit_rates", "the marginal model gave a negative rate", "use replay for percentiles")
        order = np.argsort(self.exit_latency_s)
        reached = np.cumsum(np.array(self.exit_rates)[order])
        # An exit rate is a count over a count: a sum that should be exactly 0.95 may be short by rounding.
        position = int(np.searchsorted(reached, percent / 100 - 1e-12))
        return self.exit_latency_s[int(order[min(position, len(order) - 1)])]


class Latency(Enum):
    """Which latency of a plan is meant; the value is for how many of a hundred samples, 0 for the mean."""

    MEAN = 0
    P50 = 50
    P95 = 95
    P99 = 99

    def of(self, predicted: Estimate) -> float:
        """That latency of an estimate, in seconds."""
        return predicted.latency_s if self is Latency.MEAN else predicted.percentile_s(self.value)


@dataclass(frozen=True, slots=True)
class EstimatedPlan:
    """A plan with what it would achieve."""

    plan: Plan
    estimate: Estimate


def check_plan(plan: Plan, *, blocks: int, topology: Topology) -> None:
    """Refuse a plan with blocks that the backbone lacks or tiers that the topology lacks, or that visits one twice."""
    if plan.ends[-1] > blocks:
        fail("plan", f"block {plan.ends[-1]} of a backbone with {blocks}", f"end at block {blocks} or before")
    visits = [name for name, _ in itertools.groupby(plan.placement)]
    for name in visits:
        topology.index(name)
        if visits.count(name) > 1:
            fail("plan", f"tier {name} is visited twice, another between", "place its partitions one after the other")
    if plan.input_codec is not InputCodec.RAW and plan.placement[0] == topology.source:
        fail("plan", f"sends no input as {plan.input_codec.value}: it begins on {topology.source}", "leave input= out")


def estimate(plan: Plan, *, topology: Topology, costs: Costs, exits: ExitModel) -> Estimate:
    """Accuracy and latency of `plan` by equations 1-6 of EdgeSys'22, corrected.

    latency = send(source, A_1, O_0)
              + sum_k [ (S_k + E_k) compute(A_k, P_{k-1}+1 .. P_k)
                        + S_k send(A_k, A_{k+1}, O_{P_k})           (k < L)
                        + E_k send(A_k, destination, O_result) ]

    The paper sends "O_{A_k}" for samples that have exited; what travels is the branch's result. Sending the input to
    A_1 is in the paper's text but not in its equation; it counts.
    Raises `InputError` where the plan doesn't fit the backbone, the topology or the exit model.
    """
    blocks = costs.compute_s.shape[1] - 1
    check_plan(plan, blocks=blocks, topology=topology)
    tiers = [topology.index(name) for name in plan.placement]
    return terms(plan.ends, tiers, exits.rates(plan.ends, plan.thresholds), costs)


def terms(ends: tuple[int, ...], tiers: list[int], rates: PlanRates, costs: Costs) -> Estimate:
    """The estimate of partitions that end at blocks `ends` [L] and run on `tiers` [L], with those exit rates."""
    stay = rates.stay_rates
    result = costs.compute_s.shape[1]

    # (share of samples, from, to, object) of everything that is sent
    sends = [(1.0, costs.source, tiers[0], 0)]
    sends += [(stay[k], a, b, ends[k]) for k, (a, b) in enumerate(itertools.pairwise(tiers))]
    sends += [(rate, tier, costs.destination, result) for rate, tier in zip(rates.exit_rates, tiers, strict=True)]
    computes = [costs.compute_s.item(tier, p, q) for tier, p, q in zip(tiers, (0, *ends[:-1]), ends, strict=True)]

    compute = propagation = transmission = serialization = 0.0
    for share, seconds in zip((1.0, *stay[:-1]), computes, strict=True):  # S_k + E_k reach partition k
        compute += share * seconds
    for share, a, b, item in sends:
        propagation += share * costs.propagation_s.item(a, b)
        transmission += share * costs.transmission_s.item(a, b, item)
        serialization += share * costs.serialization_s.item(a, b, item)
    energy = None
    if costs.energy is not None:
        energy = costs.energy.of_plan(ends, tiers, costs.destination, rates.exit_rates)
    return Estimate(
        accuracy=rates.accuracy,
        latency_s=compute + propagation + transmission + serialization,
        exit_rates=rates.exit_rates,
        stay_rates=stay,
        compute_s=compute,
        propagation_s=propagation,
        transmission_s=transmission,
        serialization_s=serialization,
        exit_latency_s=_exit_latency_s(ends, tiers, computes, costs),
        energy=energy,
    )


def _exit_latency_s(ends: tuple[int, ...], tiers: list[int], computes: list[float], costs: Costs) -> tuple[float, ...]:
    """[L] latency of one sample that exits at partition k: to that partition, then its result to the destination."""
    send_s = costs.send_s
    result = costs.compute_s.shape[1]
    elapsed: float = send_s.item(costs.source, tiers[0], 0)
    latencies = []
    for k, tier in enumerate(tiers):
        if k:
            elapsed += send_s.item(tiers[k - 1], tier, ends[k - 1])
        elapsed += computes[k]
        latencies.append(elapsed + send_s.item(tier, costs.destination, result))
    return tuple(latencies)


def latencies_s(
    ends: IntArray, tiers: IntArray, partitions: IntArray, exit_rates: FloatArray, costs: Costs, latency: Latency
) -> FloatArray:
    """[n] the latency of each of n plans, in seconds: `latency.of` their estimates, all at once.

    ends, tiers: [n, L] as for `terms`, of plans of at most L partitions; what is beyond a plan's own may be any.
    partitions: [n] how many partitions each plan has.
    exit_rates: [n, L] as in `PlanRates`. Percentiles need rates that are shares.
    """
    used = np.arange(ends.shape[1]) < partitions[:, None]
    firsts = np.pad(ends[:, :-1], ((0, 0), (1, 0)))
    senders = np.pad(tiers[:, :-1], ((0, 0), (1, 0)), constant_values=costs.source)
    arrive = costs.send_s[senders, tiers, firsts] + costs.compute_s[tiers, firsts, ends]
    result = costs.send_s[tiers, costs.destination, costs.compute_s.shape[1]]
    # [n, L] of a sample that exits there.
    exits_s = np.cumsum(np.where(used, arrive, 0.0), axis=1) + result
    if latency is Latency.MEAN:
        # Exit rates sum to one, so the mean over all samples is that over the exits.
        mean: FloatArray = np.where(used, exit_rates * exits_s, 0.0).sum(axis=1)
        return mean
    exits_s = np.where(used, exits_s, np.inf)
    order = np.argsort(exits_s, axis=1, kind="stable")
    reached = np.cumsum(np.take_along_axis(np.where(used, exit_rates, 0.0), order, axis=1), axis=1)
    # Rounding is allowed for as in `percentile_s`.
    position = np.argmax(reached >= latency.value / 100 - 1e-12, axis=1)
    return np.take_along_axis(exits_s, np.take_along_axis(order, position[:, None], axis=1), axis=1)[:, 0]
