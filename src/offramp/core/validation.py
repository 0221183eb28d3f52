"""Many plans that ran, and how far the predictions were off."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.core import checks
from offramp.core.plan import Plan
from offramp.core.tables import html_table
from offramp.errors import Fault, refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Achieved:
    """The figures of a plan that a validation compares. L is the number of partitions.

    accuracy: share of samples answered right.
    latency_s: mean.
    exit_rates: [L] shares that exited at partition k.
    """

    accuracy: float
    latency_s: float
    exit_rates: tuple[float, ...]

    def __post_init__(self) -> None:
        faults = [*checks.share("accuracy", self.accuracy, "give a share of samples")]
        faults += checks.not_negative("latency_s", self.latency_s, "give seconds")
        refuse(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatedPlan:
    """One plan of a validation: what was predicted of it and what was measured.

    topology: the name of the topology it ran on.
    samples: how many were answered.
    """

    topology: str
    plan: Plan
    samples: int
    predicted: Achieved
    measured: Achieved

    def __post_init__(self) -> None:
        faults = [*checks.positive("samples", self.samples, "give how many samples were answered")]
        for name in ("predicted", "measured"):
            rates = getattr(self, name).exit_rates
            meaning = "one per partition of the plan"
            faults += checks.length(f"{name}.exit_rates", len(rates), len(self.plan.ends), meaning)
        refuse(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyAgreement:
    """How well predicted latencies agree with measured ones.

    slope, r2: of the least-squares line through (predicted, measured), with intercept, and its coefficient of
        determination; None where all predictions, or all measurements, are the same.
    median_relative_error, worst_relative_error: of |measured - predicted| / measured.
    """

    slope: float | None
    r2: float | None
    median_relative_error: float
    worst_relative_error: float

    @classmethod
    def of(cls, predicted_s: Sequence[float], measured_s: Sequence[float]) -> "LatencyAgreement":
        """The agreement of [n] predicted and [n] measured latencies, n at least 1, measured above zero."""
        x, y = np.array(predicted_s), np.array(measured_s)
        error = np.abs(y - x) / y
        slope = r2 = None
        dx, dy = x - x.mean(), y - y.mean()
        if np.ptp(x) > 0 and np.ptp(y) > 0:
            shared = float(dx @ dy)
            slope, r2 = shared / float(dx @ dx), shared**2 / (float(dx @ dx) * float(dy @ dy))
        return cls(
            slope=slope, r2=r2, median_relative_error=float(np.median(error)), worst_relative_error=float(error.max())
        )


@dataclass(frozen=True, slots=True)
class Validation:
    """Many plans that ran, and how far the predictions were off."""

    plans: tuple[ValidatedPlan, ...]

    def __post_init__(self) -> None:
        faults = [] if self.plans else [Fault("plans", "is empty", "validate at least one plan")]
        for i, plan in enumerate(self.plans):
            faults += checks.positive(f"plans[{i}].measured.latency_s", plan.measured.latency_s, "give seconds")
        refuse(faults)

    def __repr__(self) -> str:
        latency = self.latency
        return (
            f"Validation({len(self.plans)} plans: latency off by {latency.median_relative_error:.1%} in the median, "
            f"{latency.worst_relative_error:.1%} at worst; accuracy by at most {self.accuracy_worst_points:.2f} "
            f"points, exit rates by {self.exit_rate_worst_points:.2f})"
        )

    def _repr_html_(self) -> str:
        columns = self.columns()
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        return html_table([*columns], rows, caption=repr(self))

    def columns(self) -> dict[str, NDArray[Any]]:
        """By name, one entry per plan: ready for `pandas.DataFrame(validation.columns())` and `numpy.savez`.

        topology, plan: the topology's name and the plan in one line.
        samples: how many were answered.
        predicted_accuracy, measured_accuracy, predicted_latency_s, measured_latency_s: as in `Achieved`.
        """
        return {
            "topology": np.array([plan.topology for plan in self.plans], np.str_),
            "plan": np.array([str(plan.plan) for plan in self.plans], np.str_),
            "samples": np.array([plan.samples for plan in self.plans], np.int64),
            "predicted_accuracy": np.array([plan.predicted.accuracy for plan in self.plans], np.float64),
            "measured_accuracy": np.array([plan.measured.accuracy for plan in self.plans], np.float64),
            "predicted_latency_s": np.array([plan.predicted.latency_s for plan in self.plans], np.float64),
            "measured_latency_s": np.array([plan.measured.latency_s for plan in self.plans], np.float64),
        }

    @property
    def latency(self) -> LatencyAgreement:
        """How well the latencies agree, over all plans."""
        return LatencyAgreement.of(
            [plan.predicted.latency_s for plan in self.plans], [plan.measured.latency_s for plan in self.plans]
        )

    @property
    def accuracy_worst_points(self) -> float:
        """The most by which an accuracy was off, in percentage points."""
        return 100 * max(abs(plan.measured.accuracy - plan.predicted.accuracy) for plan in self.plans)

    @property
    def exit_rate_worst_points(self) -> float:
        """The most by which an exit rate was off, in percentage points."""
        return 100 * max(
            abs(measured - predicted)
            for plan in self.plans
            for measured, predicted in zip(plan.measured.exit_rates, plan.predicted.exit_rates, strict=True)
        )
