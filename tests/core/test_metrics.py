"""Metrics against scikit-learn's, and against a hand-worked calibration error."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score

from offramp.core.exit_table import ExitTable
from offramp.core.exits import Replay
from offramp.core.metrics import (
    Quality,
    answering_branch,
    expected_calibration_error,
    quality_of_exit,
    quality_of_plan,
)
from offramp.errors import InputError


@st.composite
def tables(draw: st.DrawFn) -> ExitTable:
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n, samples, classes = draw(st.integers(1, 4)), draw(st.integers(2, 30)), draw(st.integers(2, 5))
    label = rng.integers(0, classes, samples)
    predicted = np.where(rng.random((n, samples)) < 0.5, label, rng.integers(0, classes + 1, (n, samples)))
    entropy = rng.integers(0, 5, (n, samples)) / 4
    return ExitTable(entropy, predicted == label, label, predicted, rng.random((n, samples)), np.arange(samples))


@given(tables(), st.data())
def test_metrics_are_those_of_scikit_learn(table: ExitTable, data: st.DataObject) -> None:
    n = table.blocks
    ends = sorted(data.draw(st.sets(st.integers(1, n), min_size=1)))
    thresholds = [data.draw(st.sampled_from([0.0, 0.25, 0.6])) for _ in ends[1:]]
    answers = []
    for s in range(table.samples):
        left = next((e for e, t in zip(ends, thresholds, strict=False) if table.scores[e - 1, s] <= t), ends[-1])
        answers.append(left - 1)
    assert answering_branch(table, ends, thresholds).tolist() == answers
    assert table.predicted is not None
    found = quality_of_plan(table, ends, thresholds)
    assert found.accuracy == pytest.approx(Replay(table, np.array([0.5])).rates(ends, thresholds).accuracy)
    _agree(found, table.label, table.predicted[answers, range(table.samples)])
    _agree(quality_of_exit(table, n), table.label, table.predicted[n - 1])


def _agree(found: Quality, label: np.ndarray, said: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are answered and never true
        assert found.recall == pytest.approx(
            recall_score(label, said, labels=found.classes, average=None, zero_division=0)
        )
        assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(label, said))
        assert found.macro_f1 == pytest.approx(f1_score(label, said, average="macro", zero_division=0))


def test_a_calibration_error_worked_by_hand() -> None:
    # Bins of a fifteenth: 0.95 and 0.96 share the last, 0.5 is alone, and so is 0.2, which ends its bin.
    confidence = np.array([0.95, 0.96, 0.5, 0.2])
    correct = np.array([True, False, False, True])
    assert expected_calibration_error(confidence, correct) == pytest.approx((0.91 + 0.5 + 0.8) / 4)
    assert expected_calibration_error(np.array([0.0, 1.0]), np.array([False, True])) == 0


def test_tables_without_classes_still_know_recall() -> None:
    table = ExitTable(np.ones((1, 4)), np.array([[True, True, True, False]]), np.array([0, 0, 0, 1]))
    found = quality_of_exit(table, 1)
    assert found.recall.tolist() == [1, 0]
    assert (found.balanced_accuracy, found.majority_share) == (0.5, 0.75)
    assert found.macro_f1 is None
    assert found.calibration_error is None


def test_an_answer_is_right_where_it_is_the_label() -> None:
    with pytest.raises(InputError, match="correct: is true at branch 1, sample 1"):
        ExitTable(np.ones((1, 2)), np.ones((1, 2), bool), np.array([0, 1]), np.array([[0, 0]]))
