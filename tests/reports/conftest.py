"""One study of the shipped profile, with a run and a validation, made once."""

import numpy as np
import pytest

from offramp.core.plan import Plan
from offramp.core.planner import Planner, SearchLimits
from offramp.core.result import RunResult, ServedRequest
from offramp.core.validation import Achieved, ValidatedPlan, Validation
from offramp.files import read_profile, read_requirements, read_topology
from offramp.pipeline.solve import find
from offramp.reports import Study

LIMIT = "400 ms"
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
    options = read_requirements(None, {"keep": 1}).options
    return Planner.of(read_profile("resnet20-digits"), read_topology("mobile"), options=options)


@pytest.fixture(scope="session")
def run(planner: Planner) -> RunResult:
    return a_run(planner, PLAN, seed=0)


@pytest.fixture(scope="session")
def validation(planner: Planner) -> Validation:
    plans = []
    for seed, member in enumerate(planner.frontier()):
        found = a_run(planner, member.plan, seed=seed).measured
        assert found is not None
        assert found.accuracy is not None
        estimate = member.estimate
        plans.append(
            ValidatedPlan(
                topology="mobile",
                plan=member.plan,
                samples=299,
                predicted=Achieved(
                    accuracy=estimate.accuracy, latency_s=estimate.latency_s, exit_rates=estimate.exit_rates
                ),
                measured=Achieved(accuracy=found.accuracy, latency_s=found.latency_s, exit_rates=found.exit_rates),
            )
        )
    return Validation(tuple(plans))


@pytest.fixture(scope="session")
def study(planner: Planner, run: RunResult, validation: Validation) -> Study:
    asked = read_requirements(None, {"max_latency": LIMIT})
    found = find(planner, asked, SearchLimits(), frontier=True, seed=0)
    results = [("run.json", run), ("validation.json", validation)]
    return Study.of(read_profile("resnet20-digits"), planner, found, results=results)
