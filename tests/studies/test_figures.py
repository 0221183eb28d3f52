"""What the figures of the study are drawn from, against numbers worked out by hand."""

import numpy as np
import pytest

from offramp import read_profile
from studies.edgesys22 import prediction
from studies.edgesys22.cases import CASES
from studies.edgesys22.figures import BranchesPicture, PlansPicture
from studies.edgesys22.prediction import Agreement, Told, Trial
from studies.edgesys22.training import partitionings


def test_partitionings_are_28_of_two_to_four() -> None:
    found = partitionings(10)
    assert len({*found}) == len(found) == 28
    assert {len(ends) for ends in found} == {2, 3, 4}
    for ends in found:
        assert list(ends) == sorted({*ends})
        assert 1 <= ends[0] <= ends[-1] <= 10
    assert found == partitionings(10)
    assert min(ends[-1] for ends in found) < 10  # some are trimmed


def test_agreement_of_a_line() -> None:
    predicted = np.array([0.0, 0.2, 0.4])
    found = Agreement.of(predicted, 0.5 * predicted + 0.3)
    assert found.slope == pytest.approx(0.5)
    assert found.r2 == pytest.approx(1)
    assert found.bias == pytest.approx(-20)  # -0.3, -0.2, -0.1
    assert found.mean_error == pytest.approx(20)
    assert found.worst_error == pytest.approx(30)


def test_errors_of_both_signs_do_not_cancel() -> None:
    found = Agreement.of(np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.5, 0.8]))
    assert found.bias == pytest.approx(0)
    assert found.mean_error == pytest.approx(20 / 3)


def test_accuracies_and_rates_are_averaged_over_the_thresholds() -> None:
    said = Told((0.8, 0.6), ((0.25, 0.75), (0.75, 0.25)))
    did = Told((0.9, 0.7), ((0.5, 0.5), (1.0, 0.0)))
    trials = [Trial((2, 5), dict.fromkeys(prediction.ESTIMATORS, said), did)]
    replay = prediction.REPLAY
    assert list(prediction.accuracies(trials, replay, averaged=True)) == [pytest.approx((0.7, 0.8))]
    assert list(prediction.accuracies(trials, replay, averaged=False)) == [(0.8, 0.9), (0.6, 0.7)]
    assert list(prediction.exit_rates(trials, replay, averaged=True)) == [(0.5, 0.75), (0.5, 0.25)]
    assert list(prediction.exit_rates(trials, replay, averaged=False)) == [
        (0.25, 0.5),
        (0.75, 0.5),
        (0.75, 1.0),
        (0.25, 0.0),
    ]


@pytest.mark.parametrize("topology", ["mobile", "iot"])
def test_no_plan_of_the_cloud_beats_the_frontier(topology: str) -> None:
    picture = PlansPicture.of(read_profile("resnet20-digits"), topology, CASES)
    assert len(picture.cloud) > 1000
    for latency, accuracy in picture.cloud[::7]:
        within = picture.frontier[picture.frontier[:, 0] <= latency * (1 + 1e-9)]
        assert len(within)
        assert within[-1, 1] >= accuracy - 1e-9
    on_it = {(round(latency, 6), round(accuracy, 6)) for latency, accuracy in picture.frontier.tolist()}
    numbers = [number for number, *_ in picture.answers]
    assert numbers == (["I", "II"] if topology == "mobile" else ["III", "IV", "IV"])
    for number, _, latency, accuracy in picture.answers:
        # Case IV has a second answer, for another destination, which is on another frontier.
        assert number == "IV" or (round(latency, 6), round(accuracy, 6)) in on_it


def test_branches_are_told_in_percent() -> None:
    profile = read_profile("resnet20-digits")
    picture = BranchesPicture.of(profile, "digits")
    assert picture.joint == pytest.approx(tuple(100 * profile.exit_table.correct.mean(axis=1)))
    assert np.array(picture.first_exits).sum(axis=1) == pytest.approx(np.full(20, 100))
