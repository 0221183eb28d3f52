"""What was measured of plans that ran, beside what was predicted of them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from offramp.core import checks
from offramp.core.checks import FloatArray
from offramp.core.estimate import Estimate
from offramp.core.percentile import percentile
from offramp.core.plan import Plan
from offramp.errors import Fault, refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRequest:
    """How one sample fared.

    id: of the request.
    exit: the partition at whose branch it left, counted from 0; None where it got no answer.
    latency_s: from its start at the source to its answer at the destination; None where it got no answer.
    correct: whether the answer was right; None where there was none, or where the truth is not known.
    degraded: it should have gone on, but could not be passed on, and was answered where it was.
    """

    id: int
    exit: int | None
    latency_s: float | None
    correct: bool | None
    degraded: bool = False

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[Fault]:
        if self.exit is not None and self.exit < 0:
            yield Fault("exit", f"{self.exit} is not a partition", "partitions count from 0")
        if (self.exit is None) != (self.latency_s is None):
            missing = "exit" if self.exit is None else "latency_s"
            yield Fault(missing, "is missing", "give exit and latency_s together, for a request that was answered")
        if self.latency_s is not None:
            yield from checks.not_negative("latency_s", self.latency_s, "give the seconds it took")
        if self.exit is None and (self.correct is not None or self.degraded):
            yield Fault("exit", "is missing", "a request without an answer is neither right nor wrong nor degraded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """How many requests ended how; every request is one of the three.

    answered: as the plan says.
    degraded: answered earlier than the plan says, because the way on was broken.
    failed: not answered.
    """

    answered: int
    degraded: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a run of a plan achieved, over all samples that were answered. L is the number of partitions.

    accuracy: share of them answered right; None where the truth is not known.
    latency_s: mean.
    p50_s, p95_s, p99_s: the least latency that so many of a hundred samples don't exceed.
    exit_rates: [L] shares that left at partition k; they sum to one.
    exit_latency_s: [L] mean latency of those; None where nobody left.
    """

    accuracy: float | None
    latency_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    exit_rates: tuple[float, ...]
    exit_latency_s: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A plan that ran, and what was predicted of it.

    topology: the name of the topology it ran on.
    predicted: its estimate, from the validation split.
    replayed: its estimate with the samples of this very run; None where they were not replayed.
    requests: every request, in the order they were sent.
    compute_s, communication_s: mean time per answered sample that tiers computed, and that took all else; None where
        that was not measured.
    """

    plan: Plan
    topology: str
    predicted: Estimate
    replayed: Estimate | None
    requests: tuple[ServedRequest, ...]
    compute_s: float | None
    communication_s: float | None

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[Fault]:
        partitions = len(self.plan.ends)
        for name in ("predicted", "replayed"):
            found = getattr(self, name)
            if found is not None:
                for rates in ("exit_rates", "stay_rates", "exit_latency_s"):
                    meaning = "one per partition of the plan"
                    yield from checks.length(f"{name}.{rates}", len(getattr(found, rates)), partitions, meaning)
        if not self.requests:
            yield Fault("requests", "is empty", "give every request of the run")
        for i, request in enumerate(self.requests):
            if request.exit is not None and request.exit >= partitions:
                problem = f"{request.exit} is not a partition of {self.plan}"
                yield Fault(f"requests[{i}].exit", problem, f"count from 0 to {partitions - 1}")
        if len({request.id for request in self.requests}) < len(self.requests):
            yield Fault("requests", "two of them share an id", "give every request an id of its own")
        for name in ("compute_s", "communication_s"):
            if getattr(self, name) is not None:
                yield from checks.not_negative(name, getattr(self, name), "give seconds per sample")

    @property
    def outcomes(self) -> Outcomes:
        """How many requests ended how."""
        failed = sum(request.exit is None for request in self.requests)
        degraded = sum(request.degraded for request in self.requests)
        return Outcomes(answered=len(self.requests) - failed - degraded, degraded=degraded, failed=failed)

    @property
    def latencies_s(self) -> FloatArray:
        """[n] latency of every answered request, least first."""
        return np.sort([request.latency_s for request in self.requests if request.latency_s is not None])

    @property
    def measured(self) -> Measured | None:
        """What the run achieved; None where nothing was answered."""
        left: list[list[float]] = [[] for _ in self.plan.ends]
        for request in self.requests:
            if request.exit is not None and request.latency_s is not None:
                left[request.exit].append(request.latency_s)
        answered = sum(map(len, left))
        if not answered:
            return None
        times_s = self.latencies_s
        p50_s, p95_s, p99_s = (float(percentile(times_s, percent)) for percent in (50, 95, 99))
        graded = [request.correct for request in self.requests if request.correct is not None]
        return Measured(
            accuracy=sum(graded) / len(graded) if graded else None,
            latency_s=math.fsum(times_s) / answered,
            p50_s=p50_s,
            p95_s=p95_s,
            p99_s=p99_s,
            exit_rates=tuple(len(times) / answered for times in left),
            exit_latency_s=tuple(math.fsum(times) / len(times) if times else None for times in left),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Achieved:
    """The figures of a plan that a validation compares. L is the number of partitions.

    accuracy: share of samples answered right.
    latency_s: mean.
    exit_rates: [L] shares that left at partition k.
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
        """The agreement of predicted and measured latencies, [n] each, n at least 1, measured above zero."""
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
        for i, each in enumerate(self.plans):
            faults += checks.positive(f"plans[{i}].measured.latency_s", each.measured.latency_s, "give seconds")
        refuse(faults)

    @property
    def latency(self) -> LatencyAgreement:
        """How well the latencies agree, over all plans."""
        return LatencyAgreement.of(
            [each.predicted.latency_s for each in self.plans], [each.measured.latency_s for each in self.plans]
        )

    @property
    def accuracy_worst_points(self) -> float:
        """The most by which an accuracy was off, in percentage points."""
        return 100 * max(abs(each.measured.accuracy - each.predicted.accuracy) for each in self.plans)

    @property
    def exit_rate_worst_points(self) -> float:
        """The most by which an exit rate was off, in percentage points."""
        return 100 * max(
            abs(measured - predicted)
            for each in self.plans
            for measured, predicted in zip(each.measured.exit_rates, each.predicted.exit_rates, strict=True)
        )
