"""What a plan would achieve: the performance model."""

import itertools
from dataclasses import dataclass
from enum import Enum

import numpy as np

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
    exit_rates, stay_rates: [L] shares of all samples that leave at partition k, and that go on past it.
    compute_s, propagation_s, transmission_s, serialization_s: the terms of the mean.
    exit_latency_s: [L] latency of a sample that leaves at partition k.
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
    """Refuse a plan that cuts blocks the backbone doesn't have or places pieces on tiers the topology doesn't have."""
    if plan.ends[-1] > blocks:
        fail("plan", f"block {plan.ends[-1]} of a backbone with {blocks}", f"end at block {blocks} or before")
    visits = [name for name, _ in itertools.groupby(plan.placement)]
    for name in visits:
        topology.index(name)
        if visits.count(name) > 1:
            fail("plan", f"tier {name} is left and entered again", "place its partitions one after the other")


def estimate(plan: Plan, *, topology: Topology, costs: Costs, exits: ExitModel) -> Estimate:
    """Accuracy and latency of `plan` by EdgeSys'22's equations 1-6, its slips mended.

    latency = send(source, A_1, O_0)
              + sum_k [ (S_k + E_k) compute(A_k, P_{k-1}+1 .. P_k)
                        + S_k send(A_k, A_{k+1}, O_{P_k})           (k < L)
                        + E_k send(A_k, destination, O_result) ]

    The paper sends "O_{A_k}" for samples that have left; what travels is the branch's result. The input's way to
    A_1 is in the paper's text but not in its equation; it counts.
    Raises `InputError` where the plan doesn't fit the backbone, the topology or the exit model.
    """
    blocks = costs.compute_s.shape[1] - 1
    check_plan(plan, blocks=blocks, topology=topology)
    tiers = [topology.index(name) for name in plan.placement]
    return terms(plan.ends, tiers, exits.rates(plan.ends, plan.thresholds), costs)


def terms(ends: tuple[int, ...], tiers: list[int], rates: PlanRates, costs: Costs) -> Estimate:
    """The estimate of partitions that end at blocks `ends` [L] and run on `tiers` [L], where samples leave as given."""
    stay = rates.stay_rates
    result = costs.compute_s.shape[1]

    # (share of samples, from, to, object) of everything that is sent
    sends = [(1.0, costs.source, tiers[0], 0)]
    sends += [(stay[k], a, b, ends[k]) for k, (a, b) in enumerate(itertools.pairwise(tiers))]
    sends += [(rate, tier, costs.destination, result) for rate, tier in zip(rates.exit_rates, tiers, strict=True)]
    computes = [costs.compute_s.item(tier, p, q) for tier, p, q in zip(tiers, (0, *ends[:-1]), ends, strict=True)]

    compute = propagation = transmission = serialization = 0.0
    for share, seconds in zip((1.0, *stay[:-1]), computes, strict=True):  # S_k + E_k get to partition k
        compute += share * seconds
    for share, a, b, item in sends:
        propagation += share * costs.propagation_s.item(a, b)
        transmission += share * costs.transmission_s.item(a, b, item)
        serialization += share * costs.serialization_s.item(a, b, item)
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
    )


def _exit_latency_s(ends: tuple[int, ...], tiers: list[int], computes: list[float], costs: Costs) -> tuple[float, ...]:
    """[L] latency of one sample that leaves at partition k: its way there, then its result's way home."""
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
