"""Plans, and what published systems choose, as points of a picture: latency in ms along, accuracy in percent up.

Where energy is to be least, it takes the place of latency, in mJ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from offramp.core.baselines import ComparedSystem
    from offramp.core.estimate import EstimatedPlan
    from offramp.core.requirement import Requirement


@dataclass(frozen=True, slots=True)
class PlanPoint:
    """A plan, by its number of partitions and as text."""

    latency: float
    accuracy: float
    partitions: int
    plan: str

    @classmethod
    def of(cls, estimated: EstimatedPlan, requirement: Requirement) -> PlanPoint:
        """The point of a plan, by what is to be least."""
        predicted, plan = estimated.estimate, estimated.plan
        return cls(1000 * requirement.cost(predicted), 100 * predicted.accuracy, len(plan.ends), str(plan))


@dataclass(frozen=True, slots=True)
class SystemPoint:
    """What a system chooses.

    system: its name. meets: whether the choice meets the requirement. plan: the choice as text.
    """

    system: str
    latency: float
    accuracy: float
    meets: bool
    plan: str

    @classmethod
    def of(cls, compared: ComparedSystem) -> SystemPoint:
        """The point of a compared system."""
        accuracy = 100 * compared.estimate.accuracy
        return cls(compared.system, 1000 * compared.latency_s, accuracy, compared.meets, compared.plan)
