"""Results of runs: written and read back, the laws of what is measured, every fault at once."""

import contextlib
import json
import math
import statistics
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offramp.core.energy import Energy, TierEnergy
from offramp.core.estimate import Estimate
from offramp.core.plan import Plan
from offramp.core.result import Outcomes, RunResult, ServedRequest
from offramp.core.validation import Achieved, LatencyAgreement, ValidatedPlan, Validation
from offramp.errors import InputError
from offramp.files import read_result, schema, write_run_result, write_validation
from offramp.files.results import run_document, validation_document
from tests import strategies as own
from tests.files.test_safety import change
from tests.files.test_schema import described, fits

fuzzing = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def estimates(draw: st.DrawFn, *, partitions: int) -> Estimate:
    def each(values: st.SearchStrategy[float]) -> tuple[float, ...]:
        return tuple(draw(st.lists(values, min_size=partitions, max_size=partitions)))

    terms = [draw(own.seconds) for _ in range(4)]
    # The marginal model's rates may be negative.
    rates = each(st.floats(-1, 1))
    spent = st.builds(TierEnergy, own.figures, own.figures, own.figures, own.figures, own.figures)
    energy = draw(st.none() | st.builds(Energy, st.dictionaries(own.tier_names, spent, min_size=1)))
    return Estimate(draw(own.shares), sum(terms), rates, each(own.shares), *terms, each(own.seconds), energy)


@st.composite
def runs(draw: st.DrawFn) -> RunResult:
    plan = draw(own.plans())
    last = len(plan.ends) - 1
    ids = draw(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=8, unique=True))
    failed = st.builds(dict, exit=st.none(), latency_s=st.none(), correct=st.none(), degraded=st.just(False))
    answered = st.builds(
        dict,
        exit=st.integers(0, last),
        latency_s=own.seconds,
        correct=st.none() | st.booleans(),
        degraded=st.booleans(),
    )
    partitions = len(plan.ends)
    return RunResult(
        plan=plan,
        topology=draw(own.names),
        predicted=draw(estimates(partitions=partitions)),
        replayed=draw(st.none() | estimates(partitions=partitions)),
        requests=tuple(ServedRequest(id=number, **draw(failed | answered)) for number in ids),
        compute_s=draw(st.none() | own.seconds),
        communication_s=draw(st.none() | own.seconds),
    )


@st.composite
def validations(draw: st.DrawFn) -> Validation:
    def one() -> ValidatedPlan:
        plan = draw(own.plans())
        n = len(plan.ends)
        figures = st.builds(
            Achieved,
            accuracy=own.shares,
            latency_s=st.floats(1e-6, 1e3),
            exit_rates=st.lists(own.shares, min_size=n, max_size=n).map(tuple),
        )
        samples = draw(st.integers(1, 2**53))
        return ValidatedPlan(
            topology=draw(own.names), plan=plan, samples=samples, predicted=draw(figures), measured=draw(figures)
        )

    return Validation(tuple(one() for _ in range(draw(st.integers(1, 4)))))


@fuzzing
@given(runs())
def test_a_run_reads_back(tmp_path: Path, run: RunResult) -> None:
    write_run_result(run, tmp_path / "run.json")
    assert read_result(tmp_path / "run.json") == run


@fuzzing
@given(validations())
def test_a_validation_reads_back(tmp_path: Path, validation: Validation) -> None:
    write_validation(validation, tmp_path / "validation.json")
    assert read_result(tmp_path / "validation.json") == validation


@given(runs())
@settings(deadline=None)
def test_what_was_measured_is_what_the_requests_add_up_to(run: RunResult) -> None:
    outcomes, measured = run.outcomes, run.measured
    assert outcomes.answered + outcomes.degraded + outcomes.failed == len(run.requests)
    times = sorted(request.latency_s for request in run.requests if request.latency_s is not None)
    if measured is None:
        assert not times
        return
    assert measured.latency_s == pytest.approx(statistics.fmean(times))
    for percent, found in ((50, measured.p50_s), (95, measured.p95_s), (99, measured.p99_s)):
        # The least latency that so many of a hundred don't exceed, said in numbers.
        assert sum(time <= found for time in times) >= percent / 100 * len(times)
        assert sum(time < found for time in times) < percent / 100 * len(times)
    assert math.fsum(measured.exit_rates) == pytest.approx(1)
    mean = math.fsum(
        rate * time for rate, time in zip(measured.exit_rates, measured.exit_latency_s, strict=True) if time is not None
    )
    assert mean == pytest.approx(measured.latency_s)


@given(st.lists(st.tuples(st.integers(1, 64), st.integers(1, 64)), min_size=2, max_size=9))
def test_the_line_is_the_one_that_numpy_fits(points: list[tuple[int, int]]) -> None:
    x, y = (np.array(axis, float) for axis in zip(*points, strict=True))
    found = LatencyAgreement.of(list(x), list(y))
    assert found.worst_relative_error == max(abs(a - b) / b for a, b in points)
    if len(set(x)) < 2 or len(set(y)) < 2:
        assert found.slope is found.r2 is None
        return
    slope, intercept = np.polyfit(x, y, 1)
    assert found.slope == pytest.approx(slope, abs=1e-9)
    left = y - (slope * x + intercept)
    assert found.r2 == pytest.approx(1 - (left @ left) / ((y - y.mean()) @ (y - y.mean())), abs=1e-9)


PLAN = Plan((3, 10), ("phone", "cloud"), (0.4,))
ESTIMATE = Estimate(0.9, 0.2, (0.75, 0.25), (0.25, 0.0), 0.05, 0.05, 0.1, 0.0, (0.1, 0.5))
RUN = RunResult(
    plan=PLAN,
    topology="mobile",
    predicted=ESTIMATE,
    replayed=None,
    requests=(
        ServedRequest(id=0, exit=0, latency_s=0.125, correct=True),
        ServedRequest(id=1, exit=1, latency_s=0.5, correct=False),
        ServedRequest(id=2, exit=0, latency_s=0.375, correct=True, degraded=True),
        ServedRequest(id=3, exit=None, latency_s=None, correct=None),
    ),
    compute_s=0.1,
    communication_s=0.2,
)


def test_a_run_worked_out_by_hand() -> None:
    measured = RUN.measured
    assert measured is not None
    assert measured.accuracy == pytest.approx(2 / 3)
    assert measured.latency_s == 1 / 3
    assert measured.exit_rates == (2 / 3, 1 / 3)
    assert measured.exit_latency_s == (0.25, 0.5)
    assert RUN.outcomes == Outcomes(answered=2, degraded=1, failed=1)


def written(tmp_path: Path) -> tuple[Path, dict]:
    path = tmp_path / "run.json"
    write_run_result(RUN, path)
    return path, json.loads(path.read_text())


def test_the_file_says_it_all_for_other_programs(tmp_path: Path) -> None:
    _, document = written(tmp_path)
    assert set(document) == {
        "offramp", "plan", "topology", "samples", "predicted", "replayed", "measured", "outcomes", "requests",
    }  # fmt: skip
    assert document["offramp"] == "run-result/1"
    assert document["samples"] == 4
    assert document["plan"]["text"] == str(PLAN)
    assert document["predicted"]["percentiles_s"] == {"p50": 0.1, "p95": 0.5, "p99": 0.5}
    assert set(document["measured"]) == {
        "accuracy", "latency_s", "p50_s", "p95_s", "p99_s", "exit_rates", "exit_latency_s", "compute_s",
        "communication_s",
    }  # fmt: skip
    assert document["outcomes"] == {"answered": 2, "degraded": 1, "failed": 1}
    assert document["requests"][3] == {"id": 3, "exit": None, "latency_s": None, "correct": None, "degraded": False}


def test_every_fault_of_a_run_at_once(tmp_path: Path) -> None:
    path, document = written(tmp_path)
    document["requests"][0]["latency_s"] = -1
    document["requests"][1]["latency_s"] = "long"
    document["predicted"]["acuracy"] = 1
    del document["topology"]["name"]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError) as caught:
        read_result(path)
    places = {fault.place for fault in caught.value.faults}
    assert places == {"requests[0].latency_s", "requests[1].latency_s", "predicted.acuracy", "topology.name"}


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        ({"samples": 5}, "samples", "as many as there are requests"),
        ({"requests": []}, "samples", "0 requests"),
        ({"requests": [{"id": 0, "exit": 2, "latency_s": 1.0}], "samples": 1}, "requests[0].exit", "from 0 to 1"),
        ({"requests": [{"id": 7}, {"id": 7}], "samples": 2}, "requests", "share an id"),
        ({"requests": [{"id": 7, "exit": 1}], "samples": 1}, "requests[0].latency_s", "together"),
        ({"requests": [{"id": 7, "correct": True}], "samples": 1}, "requests[0].exit", "without an answer"),
        ({"plan": {"text": "1-3@phone"}}, "predicted.exit_rates", "give 1: one per partition"),
        ({"offramp": "profile/1"}, "offramp", "neither a run nor a validation"),
        ({"measured": {"compute_s": -1.0}}, "compute_s", "not zero or more"),
    ],
)
def test_one_fault_of_a_run(tmp_path: Path, change: dict, place: str, words: str) -> None:
    path, document = written(tmp_path)
    path.write_text(json.dumps(document | change))
    with pytest.raises(InputError) as caught:
        read_result(path)
    assert any(fault.place == place and words in str(fault) for fault in caught.value.faults), caught.value


def test_a_validation_names_the_plan_that_is_wrong(tmp_path: Path) -> None:
    figures = Achieved(accuracy=0.5, latency_s=0.25, exit_rates=(0.5, 0.5))
    each = ValidatedPlan(topology="mobile", plan=PLAN, samples=4, predicted=figures, measured=figures)
    path = tmp_path / "validation.json"
    write_validation(Validation((each, each)), path)
    document = json.loads(path.read_text())
    assert document["latency"] == {
        "slope": None, "r2": None, "median_relative_error": 0.0, "worst_relative_error": 0.0,
    }  # fmt: skip
    document["plans"][1]["measured"]["exit_rates"] = [1.0]
    document["plans"][0]["plan"] = "1-3@phone 5@cloud T=0.4"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError) as caught:
        read_result(path)
    assert [fault.place for fault in caught.value.faults] == ["plans[0].plan", "plans[1].measured.exit_rates"]


@fuzzing
@given(data=st.data())
def test_any_change_of_a_good_document(tmp_path: Path, data: st.DataObject) -> None:
    path, document = written(tmp_path)
    for _ in range(data.draw(st.integers(1, 3))):
        change(document, data)
    path.write_text(json.dumps(document))
    with contextlib.suppress(InputError):
        read_result(path)


def test_nothing_answered_means_nothing_measured() -> None:
    failed = ServedRequest(id=0, exit=None, latency_s=None, correct=None)
    run = RunResult(
        plan=PLAN, topology="t", predicted=ESTIMATE, replayed=None, requests=(failed,), compute_s=None,
        communication_s=None,
    )  # fmt: skip
    assert run.measured is None
    assert run.outcomes == Outcomes(answered=0, degraded=0, failed=1)


@pytest.mark.parametrize("kind", ["run", "validation"])
def test_the_schemas_stand_on_their_own_and_their_examples_can_be_read(tmp_path: Path, kind: str) -> None:
    made = schema(kind)
    assert kind in made["title"]
    assert described(made)
    for example in made["examples"]:
        assert fits(example, made, made)
        (tmp_path / kind).write_text(json.dumps(example))
        read_result(tmp_path / kind)


@settings(max_examples=30, deadline=None)
@given(runs(), validations())
def test_what_is_written_fits_its_schema(run: RunResult, validation: Validation) -> None:
    for kind, document in (("run", run_document(run)), ("validation", validation_document(validation))):
        made = schema(kind)
        assert fits(json.loads(json.dumps(document)), made, made)
