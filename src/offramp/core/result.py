"""A plan that ran: what was measured of it, beside what was predicted."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.core import checks
from offramp.core.checks import FloatArray
from offramp.core.estimate import Estimate
from offramp.core.percentile import percentile
from offramp.core.plan import Plan
from offramp.core.tables import html_table
from offramp.errors import Fault, refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRequest:
    """What became of one request.

    id: of the request.
    exit: the partition at whose branch its sample exited, counted from 0; None without an answer.
    latency_s: from sending it at the source to its answer at the destination; None without an answer.
    correct: whether the answer was right; None without an answer, or where the true class is not known.
    degraded: whether it was answered by an earlier branch than planned, as the sample could not be passed on.
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
    degraded: answered earlier than the plan says, as the sample could not be passed on.
    failed: not answered.
    """

    answered: int
    degraded: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a run of a plan achieved, over all samples that were answered. L is the number of partitions.

    accuracy: share of them answered right; None where the true classes are not known.
    latency_s: mean.
    p50_s, p95_s, p99_s: as in `offramp.core.percentile`.
    exit_rates: [L] shares that exited at partition k; they sum to one.
    exit_latency_s: [L] mean latency of those; None where none exited.
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
            estimate = getattr(self, name)
            if estimate is not None:
                for rates in ("exit_rates", "stay_rates", "exit_latency_s"):
                    meaning = "one per partition of the plan"
                    yield from checks.length(f"{name}.{rates}", len(getattr(estimate, rates)), partitions, meaning)
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

    def __repr__(self) -> str:
        outcomes, measured = self.outcomes, self.measured
        text = f"RunResult({self.plan} on {self.topology}: {len(self.requests)} requests"
        text += "".join(
            f", {count} {word}"
            for word, count in (("degraded", outcomes.degraded), ("failed", outcomes.failed))
            if count
        )
        if measured is not None:
            text += f"; mean latency {measured.latency_s:.4g} s, predicted {self.predicted.latency_s:.4g} s"
            if measured.accuracy is not None:
                text += f"; accuracy {measured.accuracy:.4g}, predicted {self.predicted.accuracy:.4g}"
        return f"{text})"

    def _repr_html_(self) -> str:
        return html_table(["", "predicted", "replayed", "measured"], self._figures(), caption=repr(self))

    def _figures(self) -> Iterator[list[str | float | None]]:
        """[name, predicted, replayed, measured] of every figure; None where it is not known."""
        predicted, replayed, measured = self.predicted, self.replayed, self.measured
        for name in ("accuracy", "latency_s"):
            yield [name, *(getattr(figures, name, None) for figures in (predicted, replayed, measured))]
        yield ["compute_s", predicted.compute_s, None if replayed is None else replayed.compute_s, self.compute_s]
        for name in ("exit_rates", "exit_latency_s"):
            rows = (getattr(figures, name, [None] * len(self.plan.ends)) for figures in (predicted, replayed, measured))
            for k, values in enumerate(zip(*rows, strict=True)):
                yield [f"{name}[{k}]", *values]

    def columns(self) -> dict[str, NDArray[Any]]:
        """By name, one entry per request: ready for `pandas.DataFrame(run.columns())` and `numpy.savez`.

        id, degraded: as in `ServedRequest`.
        exit: likewise; -1 without an answer.
        latency_s: likewise; NaN without an answer.
        correct: 1.0 or 0.0; NaN without an answer, or where the true class is not known.
        """
        return {
            "id": np.array([request.id for request in self.requests], np.int64),
            "exit": np.array([-1 if request.exit is None else request.exit for request in self.requests], np.int64),
            # None becomes NaN.
            "latency_s": np.array([request.latency_s for request in self.requests], np.float64),
            "correct": np.array([request.correct for request in self.requests], np.float64),
            "degraded": np.array([request.degraded for request in self.requests], np.bool_),
        }

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
        exited: list[list[float]] = [[] for _ in self.plan.ends]
        for request in self.requests:
            if request.exit is not None and request.latency_s is not None:
                exited[request.exit].append(request.latency_s)
        answered = sum(map(len, exited))
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
            exit_rates=tuple(len(times) / answered for times in exited),
            exit_latency_s=tuple(math.fsum(times) / len(times) if times else None for times in exited),
        )
