"""How near a search that promises nothing comes to the exact frontier."""

import bisect
import math
from dataclasses import dataclass

import numpy as np
from pymoo.indicators.hv import Hypervolume

from offramp.core.pareto import nondominated

FRONTIER, ONE_PLAN = "frontier", "one plan"  # what is searched for
REFERENCE = 1.1
NEAR_ENOUGH = 0.999
SAME = 1e-9  # what adding up in another order can change


@dataclass(frozen=True)
class Exact:
    """The exact frontier, to measure others by. F is the number of members.

    points: [F, 2] latency in seconds, share of wrong answers; fastest first.
    floor: the accuracy that one plan must have.
    best_s: the least latency with it.
    """

    points: np.ndarray
    floor: float
    best_s: float

    def hypervolume(self, points: np.ndarray) -> float:
        """Of points [n, 2], as a share of the exact frontier's."""
        whole, part = self._area(self.points), self._area(points)
        assert part <= whole * (1 + SAME), "a plan beats the exact frontier"
        return part / whole

    def members(self, points: np.ndarray) -> int:
        """How many members of the frontier points [n, 2] have."""
        margins = self.points * np.array([1 + SAME, 1]) + np.array([0, SAME])
        return sum(bool(np.any(np.all(points <= margin, axis=1))) for margin in margins)

    def latency_above(self, points: np.ndarray) -> float:
        """By which share the fastest accurate plan of points [n, 2] is slower than the best; infinite without one."""
        accurate = points[points[:, 1] <= 1 - self.floor + SAME, 0]
        return float(accurate.min(initial=math.inf) / self.best_s - 1)

    def near_enough(self, points: np.ndarray, goal: str) -> int | None:
        """How many of points [n, 2], in the order they were found, it takes to be near enough; None if all don't do."""

        def nearness(count: int) -> float:
            found = points[:count]
            return self.hypervolume(found) if goal == FRONTIER else 1 / (1 + self.latency_above(found))

        counts = range(1, len(points) + 1)
        place = bisect.bisect_left(counts, NEAR_ENOUGH, key=nearness)
        return counts[place] if place < len(counts) else None

    def _area(self, points: np.ndarray) -> float:
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        points = points[nondominated(points[:, 0], 1 - points[:, 1])]
        return float(Hypervolume(ref_point=np.full(2, REFERENCE)).do((points - low) / (high - low)))
