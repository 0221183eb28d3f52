"""The cloud of plans around the frontier: a sample of all plans, estimated together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offramp.core.checks import FloatArray, IntArray
from offramp.core.constraints import Constraints
from offramp.core.estimate import Latency, latencies_s
from offramp.core.latency import Costs
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.sampling import random_plan


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """Plans drawn from a space, in arrays; n plans of at most L partitions, padded with zeros.

    Exit rates do not depend on the topology's numbers, so a cloud is drawn once and estimated again and again.

    ends, tiers: [n, L] the last block and the tier of each partition, as in `Plan`, tiers from 0.
    partitions: [n] how many there are.
    exit_rates: [n, L] shares of all samples that exit at each partition.
    accuracy: [n].
    texts: [n] the plans as text.
    """

    ends: IntArray
    tiers: IntArray
    partitions: IntArray
    exit_rates: FloatArray
    accuracy: FloatArray
    texts: tuple[str, ...]

    @classmethod
    def drawn(cls, planner: Planner, constraints: Constraints, *, plans: int) -> Cloud:
        """A sample of about `plans` plans, as many of each number of partitions; always the same one.

        constraints: how many exits a tier may have and how many thresholds a plan; the limits among them don't count.
        """
        rng = np.random.default_rng(0)
        exits, blocks = planner.exits, len(planner.backbone.blocks)
        names = [tier.name for tier in planner.topology.tiers]
        most = min(blocks, len(names) * constraints.exits_per_tier)
        drawn: dict[Plan, None] = {}
        for partitions in range(1, most + 1):
            for _ in range(-(-plans // most)):
                plan = random_plan(
                    rng,
                    partitions=partitions,
                    blocks=blocks,
                    tiers=names,
                    thresholds=exits.thresholds.tolist(),
                    exits_per_tier=constraints.exits_per_tier,
                    threshold_per_exit=constraints.threshold_per_exit,
                    codecs=(planner.codec,),
                )
                drawn[plan] = None
        ends, tiers = np.zeros((len(drawn), most), np.int64), np.zeros((len(drawn), most), np.int64)
        exit_rates, accuracy = np.zeros((len(drawn), most)), np.zeros(len(drawn))
        for row, plan in enumerate(drawn):
            own, rates = slice(len(plan.ends)), exits.rates(plan.ends, plan.thresholds)
            ends[row, own] = plan.ends
            tiers[row, own] = [names.index(name) for name in plan.placement]
            exit_rates[row, own] = rates.exit_rates
            accuracy[row] = rates.accuracy
        return cls(
            ends=ends,
            tiers=tiers,
            partitions=np.array([len(plan.ends) for plan in drawn]),
            exit_rates=exit_rates,
            accuracy=accuracy,
            texts=tuple(map(str, drawn)),
        )

    def latency_s(self, costs: Costs, latency: Latency) -> FloatArray:
        """[n] the latency of each plan where everything costs that much."""
        return latencies_s(self.ends, self.tiers, self.partitions, self.exit_rates, costs, latency)

    @property
    def rows(self) -> tuple[tuple[int, ...], ...]:
        """The plans of one partition, of two, and so on."""
        most = self.ends.shape[1]
        return tuple(tuple(np.flatnonzero(self.partitions == count).tolist()) for count in range(1, most + 1))
