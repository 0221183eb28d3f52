"""The cloud of plans around the frontier: a sample of all plans, estimated together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.core.checks import BoolArray, FloatArray, IntArray
from offramp.core.estimate import Latency
from offramp.core.exits import ExitModel
from offramp.core.latency import Costs
from offramp.core.plan import Plan
from offramp.core.planner import Options
from offramp.core.topology import Topology


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """Plans drawn from all that are allowed, in arrays; n plans of at most L partitions, those not there masked.

    Who leaves where does not depend on the topology's numbers, so a cloud is drawn once and estimated again and again.

    ends, tiers: [n, L] the last block and the tier of each partition, as in `Plan`, tiers from 0.
    parts: [n] how many partitions there are.
    leave: [n, L] share of all samples that leave there.
    accuracy: [n].
    texts: [n] the plans as text.
    """

    ends: IntArray
    tiers: IntArray
    parts: IntArray
    leave: FloatArray
    accuracy: FloatArray
    texts: tuple[str, ...]

    @classmethod
    def drawn(cls, exits: ExitModel, topology: Topology, options: Options, *, blocks: int, plans: int) -> Cloud:
        """A sample of about `plans` plans, as many of each number of partitions; always the same one."""
        random = np.random.default_rng(0)
        most = min(blocks, len(topology.tiers) * options.exits_per_tier)
        levels = [float(level) for level in exits.thresholds]
        found: dict[tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]], None] = {}
        for parts in range(1, most + 1):
            for _ in range(-(-plans // most)):
                ends = tuple(sorted((random.choice(blocks, parts, replace=False) + 1).tolist()))
                tiers = _tiers(random, len(topology.tiers), parts, options.exits_per_tier)
                one = levels[random.integers(len(levels))]
                each = [levels[i] for i in random.integers(len(levels), size=parts - 1)]
                thresholds = tuple(each) if options.threshold_per_exit else (one,) * (parts - 1)
                found[ends, tiers, thresholds] = None
        rates = [exits.rates(ends, thresholds) for ends, _, thresholds in found]
        return cls(
            ends=_padded([ends for ends, _, _ in found], most, np.int64),
            tiers=_padded([tiers for _, tiers, _ in found], most, np.int64),
            parts=np.array([len(ends) for ends, _, _ in found]),
            leave=_padded([each.exit_rates for each in rates], most, np.float64),
            accuracy=np.array([each.accuracy for each in rates]),
            texts=tuple(
                str(Plan(ends, tuple(topology.tiers[j].name for j in tiers), thresholds))
                for ends, tiers, thresholds in found
            ),
        )

    def latency_s(self, costs: Costs, latency: Latency) -> FloatArray:
        """[n] the latency of each plan, as `estimate` has it; infinite where a tier can't run its part."""
        there = self.there
        result = costs.compute_s.shape[1]
        before = np.pad(self.ends[:, :-1], ((0, 0), (1, 0)))
        compute = np.where(there, costs.compute_s[self.tiers, before, self.ends], 0.0)
        came_from = np.pad(self.tiers[:, :-1], ((0, 0), (1, 0)), constant_values=costs.source)
        arrive = np.where(there, costs.send_s[came_from, self.tiers, before], 0.0)
        home = costs.send_s[self.tiers, costs.destination, result]
        # [n, L] of a sample that leaves there; every plan's mean is the sum of these, as its rates sum to one.
        elapsed = np.cumsum(arrive + compute, axis=1) + home
        if latency is Latency.MEAN:
            mean: FloatArray = np.where(there, self.leave * elapsed, 0.0).sum(axis=1)
            return mean
        elapsed = np.where(there, elapsed, np.inf)
        order = np.argsort(elapsed, axis=1, kind="stable")
        reached = np.cumsum(np.take_along_axis(self.leave, order, axis=1), axis=1)
        first = np.argmax(reached >= latency.value / 100 - 1e-12, axis=1)
        return np.take_along_axis(elapsed, np.take_along_axis(order, first[:, None], axis=1), axis=1)[:, 0]

    @property
    def rows(self) -> tuple[tuple[int, ...], ...]:
        """The plans of one partition, of two, and so on."""
        most = self.ends.shape[1]
        return tuple(tuple(np.flatnonzero(self.parts == parts).tolist()) for parts in range(1, most + 1))

    @property
    def there(self) -> BoolArray:
        """[n, L] which partitions there are."""
        found: BoolArray = np.arange(self.ends.shape[1]) < self.parts[:, None]
        return found


def _tiers(random: np.random.Generator, tiers: int, parts: int, exits_per_tier: int) -> tuple[int, ...]:
    """[parts] tiers in any order, none left and entered again, none with more exits than allowed."""
    order = random.permutation(tiers).tolist()
    fewest = -(-parts // exits_per_tier)
    used = int(random.integers(fewest, min(parts, tiers) + 1))
    counts = [1] * used
    while sum(counts) < parts:
        at = int(random.integers(used))
        counts[at] += counts[at] < exits_per_tier
    return tuple(tier for tier, count in zip(order, counts, strict=False) for _ in range(count))


def _padded(rows: list[tuple[int, ...]] | list[tuple[float, ...]], width: int, dtype: type) -> NDArray[Any]:
    padded: NDArray[Any] = np.zeros((len(rows), width), dtype)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return padded
