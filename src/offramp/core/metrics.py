"""What is right, beyond accuracy: class by class, and how far confidences can be believed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offramp.core.checks import BoolArray, FloatArray, IntArray
from offramp.core.exit_table import ExitTable, at_or_below

BINS = 15


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """How good one answer per sample is. C is the number of classes that some sample has.

    samples: how many were answered.
    accuracy: share of them that is right.
    classes: [C] the classes, in order.
    count: [C] how many samples have each.
    recall: [C] share of the samples of each class that is right.
    macro_f1: mean over the classes, those that are only ever answered counted, of the harmonic mean of precision and
        recall; None where the classes predicted are not known.
    calibration_error: see `expected_calibration_error`; None where the confidences are not known.
    """

    samples: int
    accuracy: float
    classes: IntArray
    count: IntArray
    recall: FloatArray
    macro_f1: float | None
    calibration_error: float | None

    @property
    def balanced_accuracy(self) -> float:
        """The mean of the classes' recalls."""
        return float(self.recall.mean())

    @property
    def least_recall(self) -> float:
        """The recall of the worst class."""
        return float(self.recall.min())

    @property
    def majority_share(self) -> float:
        """The accuracy of always answering the most frequent class."""
        return float(self.count.max() / self.samples)

    def figures(self) -> dict[str, float]:
        """By name, the figures that are known, as shares."""
        figures = {
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "least_recall": self.least_recall,
            "macro_f1": self.macro_f1,
            "calibration_error": self.calibration_error,
        }
        return {name: value for name, value in figures.items() if value is not None}


def quality_of_exit(table: ExitTable, branch: int) -> Quality:
    """How good the answers of a branch are, 1 the first, where every sample is answered there."""
    return _quality(table, np.full(table.samples, branch - 1))


def quality_of_plan(table: ExitTable, ends: Sequence[int], thresholds: Sequence[float]) -> Quality:
    """How good a plan's answers are: a sample's answer is that of the exit it leaves by.

    ends: [L] the blocks after which exits are used; thresholds: [L-1].
    """
    return _quality(table, answering_branch(table, ends, thresholds))


def answering_branch(table: ExitTable, ends: Sequence[int], thresholds: Sequence[float]) -> IntArray:
    """[S] the place, from 0, of the branch that each sample of the table leaves by."""
    branch = np.full(table.samples, ends[-1] - 1)
    for end, threshold in zip(reversed(ends[:-1]), reversed(thresholds), strict=True):
        branch[at_or_below(table.scores[end - 1], threshold)] = end - 1
    return branch


def expected_calibration_error(confidence: FloatArray, correct: BoolArray) -> float:
    """The mean distance between confidence and accuracy over 15 bins of equal width, weighted by their samples.

    confidence: [S] the probability given to the answer. correct: [S].
    Guo et al., On Calibration of Modern Neural Networks, ICML 2017: a bin is open below and closed above.
    """
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gap = np.bincount(bins, weights=confidence - correct, minlength=BINS)
    return float(np.abs(gap).sum() / len(confidence))


def _quality(table: ExitTable, branch: IntArray) -> Quality:
    """branch: [S] the place of the branch that answers each sample."""
    each = np.arange(table.samples)
    correct = table.correct[branch, each]
    classes, of_class, count = np.unique(table.label, return_inverse=True, return_counts=True)
    predicted = None if table.predicted is None else table.predicted[branch, each]
    confidence = None if table.confidence is None else table.confidence[branch, each].astype(np.float64)
    return Quality(
        samples=table.samples,
        accuracy=float(correct.mean()),
        classes=classes,
        count=count,
        recall=np.bincount(of_class, weights=correct, minlength=len(classes)) / count,
        macro_f1=None if predicted is None else _macro_f1(table.label, predicted),
        calibration_error=None if confidence is None else expected_calibration_error(confidence, correct),
    )


def _macro_f1(label: IntArray, predicted: IntArray) -> float:
    classes = np.union1d(label, predicted)
    said = np.searchsorted(classes, predicted)
    true = np.searchsorted(classes, label)
    right = np.bincount(said[said == true], minlength=len(classes))
    both = np.bincount(said, minlength=len(classes)) + np.bincount(true, minlength=len(classes))
    return float((2 * right / both).mean())
