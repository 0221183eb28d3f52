"""From the answers of a deployment to what a plan achieved."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.core.estimate import Estimate
from offramp.core.plan import Plan
from offramp.core.result import RunResult, ServedRequest
from offramp.runtime.client import Answer


def run_result(
    answers: Sequence[Answer],
    labels: NDArray[np.int64] | None,
    *,
    plan: Plan,
    topology: str,
    predicted: Estimate,
    replayed: Estimate | None,
) -> RunResult:
    """What a plan achieved.

    answers: in the order of the samples.
    labels: [S] the true classes; None where they are not known.
    """
    requests = [
        ServedRequest(
            id=answer.number,
            exit=answer.exit,
            latency_s=None if answer.exit is None else answer.latency_s,
            correct=None if labels is None or answer.exit is None else bool(answer.label == labels[answer.number]),
            degraded=answer.degraded,
        )
        for answer in answers
    ]
    answered = [answer for answer in answers if answer.exit is not None]
    compute_s = float(np.mean([computing_s(answer) for answer in answered])) if answered else None
    latency_s = float(np.mean([answer.latency_s for answer in answered])) if answered else 0.0
    return RunResult(
        plan=plan,
        topology=topology,
        predicted=predicted,
        replayed=replayed,
        requests=tuple(requests),
        compute_s=compute_s,
        communication_s=None if compute_s is None else max(latency_s - compute_s, 0.0),
    )


def computing_s(answer: Answer) -> float:
    """Seconds that tiers were at work on a sample, (de)serialization counted, waiting for their turn not."""
    return sum(stage.done_ns - stage.started_ns for stage in answer.trace) / 1e9
