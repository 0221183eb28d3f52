"""One study of the shipped profile, with a run and a validation, made once."""

import numpy as np
import pytest

from offramp.core.constraints import Constraints
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.requirement import Requirement
from offramp.core.result import RunResult, ServedRequest
from offramp.core.validation import Achieved, ValidatedPlan, Validation
from offramp.files import read_profile, read_topology
from offramp.pipeline.solution import Solution
from offramp.pipeline.solve import solve
from offramp.reports.study import Study

LIMIT = "400 ms"
KEEPING_ONE = Requirement(constraints=Constraints(keep_blocks=1))
PLAN = Plan.parse("1-6@smartwatch 7-8@smartphone T=0.30")


def a_run(planner: Planner, plan: Plan, *, seed: int) -> RunResult:
    """The plan on 300 samples, a hundredth slower than predicted and a little noisy; one fails, one is degraded."""
    rng = np.random.default_rng(seed)
    estimate = planner.estimate(plan).estimate
    requests = []
    for i, spot in enumerate(rng.choice(len(plan.ends), 300, p=estimate.exit_rates)):
        time = estimate.exit_latency_s[spot] * rng.normal(1.01, 0.01)
        requests.append(ServedRequest(id=i, exit=int(spot), latency_s=float(time), correct=bool(rng.random() < 0.97)))
    requests[3] = ServedRequest(id=3, exit=None, latency_s=None, correct=None)
    requests[5] = ServedRequest(id=5, exit=0, latency_s=0.9, correct=False, degraded=True)
    return RunResult(
        plan=plan,
        topology=planner.topology.name,
        predicted=estimate,
        replayed=estimate,
        requests=tuple(requests),
        compute_s=0.041,
        communication_s=0.075,
    )


@pytest.fixture(scope="session")
def planner() -> Planner:
    return Planner.of(read_profile("resnet20-digits"), read_topology("mobile"))


@pytest.fixture(scope="session")
def run(planner: Planner) -> RunResult:
    return a_run(planner, PLAN, seed=0)


@pytest.fixture(scope="session")
def validation(planner: Planner) -> Validation:
    plans = []
    for seed, member in enumerate(planner.frontier(KEEPING_ONE)):
        estimate, run = member.estimate, a_run(planner, member.plan, seed=seed).measured
        assert run is not None
        assert run.accuracy is not None
        plans.append(
            ValidatedPlan(
                topology="mobile",
                plan=member.plan,
                samples=299,
                predicted=Achieved(
                    accuracy=estimate.accuracy, latency_s=estimate.latency_s, exit_rates=estimate.exit_rates
                ),
                measured=Achieved(accuracy=run.accuracy, latency_s=run.latency_s, exit_rates=run.exit_rates),
            )
        )
    return Validation(tuple(plans))


@pytest.fixture(scope="session")
def solution() -> Solution:
    return solve("resnet20-digits", "mobile", max_latency=LIMIT, keep=1, progress=False)


@pytest.fixture(scope="session")
def study(solution: Solution, run: RunResult, validation: Validation) -> Study:
    return Study.of(solution, results=[("run.json", run), ("validation.json", validation)])
