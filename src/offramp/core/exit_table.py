"""What each branch says of each validation sample."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.core import checks
from offramp.core.checks import BoolArray, Float32Array, FloatArray, IntArray
from offramp.core.score import ScoreName
from offramp.errors import Fault, refuse

# By name: type, and number of axes.
_ARRAYS: dict[str, tuple[type[np.generic], int]] = {
    "scores": (np.float32, 2),
    "correct": (np.bool_, 2),
    "label": (np.int64, 1),
    "predicted": (np.int64, 2),
    "confidence": (np.float32, 2),
    "ids": (np.int64, 1),
}


@dataclass(frozen=True, slots=True, eq=False)
class ExitTable:
    """What each branch says of each validation sample. S is the number of samples.

    scores: [N, S] in [0, 1] what a threshold is compared to: the lower, the surer is the branch.
    correct: [N, S] whether the branch's answer is right.
    label: [S] the true class.
    predicted: [N, S] the class that the branch answers; None in tables that don't hold it.
    confidence: [N, S] the probability that it gives that class, in [0, 1]; None likewise.
    ids: [S] the samples' places in the whole data set; None likewise.
    score: what the scores are.
    """

    scores: Float32Array
    correct: BoolArray
    label: IntArray
    predicted: IntArray | None = None
    confidence: Float32Array | None = None
    ids: IntArray | None = None
    score: ScoreName = ScoreName.ENTROPY

    def __post_init__(self) -> None:
        for name, (dtype, ndim) in _ARRAYS.items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checks.frozen_array(getattr(self, name), dtype, ndim, name))
        refuse(self._faults())

    def _faults(self) -> Iterator[Fault]:
        outside = ~((self.scores >= 0) & (self.scores <= 1))
        if outside.any():
            i, s = np.argwhere(outside)[0]
            remedy = "give the entropy divided by the logarithm of the number of classes"
            yield Fault(
                self.score.value,
                f"{outside.sum()} entries are outside [0, 1], the first is {self.scores[i, s]} at branch {i + 1}, "
                f"sample {s}",
                remedy if self.score is ScoreName.ENTROPY else "scale it to [0, 1]",
            )
        n, samples = self.scores.shape
        if n < 1 or samples < 2:
            yield Fault(
                self.score.value, f"{n} branches and {samples} samples", "give at least one branch and two samples"
            )
        for name in ("correct", "predicted", "confidence"):
            array = getattr(self, name)
            if array is not None and array.shape != self.scores.shape:
                yield Fault(name, f"has shape {array.shape}", f"give one entry per score, {self.scores.shape}")
        for name in ("label", "ids"):
            if getattr(self, name) is not None:
                yield from checks.length(name, len(getattr(self, name)), samples, "one per sample")
        if self.confidence is not None and not ((self.confidence >= 0) & (self.confidence <= 1)).all():
            yield Fault("confidence", "has entries outside [0, 1]", "give the probability of the predicted class")
        if self.predicted is not None and (self.predicted < 0).any():
            yield Fault("predicted", "has entries below zero", "number the classes from 0")
        if self.ids is not None and len(np.unique(self.ids)) < len(self.ids):
            yield Fault("ids", "has one twice", "give each sample an id of its own")
        yield from self._answer_faults()

    def _answer_faults(self) -> Iterator[Fault]:
        """An answer is right where it is the label."""
        if self.predicted is None or not self.correct.shape == self.predicted.shape == (
            len(self.scores),
            self.samples,
        ):
            return
        for i, s in np.argwhere(self.correct != (self.predicted == self.label))[:1]:
            yield Fault(
                "correct",
                f"is {str(self.correct[i, s]).lower()} at branch {i + 1}, sample {s}, where the class predicted is "
                f"{self.predicted[i, s]} and the label {self.label[s]}",
                "an answer is right where it is the label",
            )

    def __repr__(self) -> str:
        return f"ExitTable({self.blocks} branches, {self.samples} samples)"

    @property
    def blocks(self) -> int:
        """N, the number of branches."""
        return len(self.scores)

    @property
    def samples(self) -> int:
        """S, the number of samples."""
        return len(self.label)

    @property
    def accuracy(self) -> FloatArray:
        """[N] share of all samples that each branch classifies right."""
        accuracy: FloatArray = self.correct.mean(axis=1)
        return accuracy

    def arrays(self) -> dict[str, Any]:
        """By name, the arrays that the table holds, as `ExitTable` takes them."""
        return {name: array for name in _ARRAYS if (array := getattr(self, name)) is not None}

    def part(self, members: IntArray) -> "ExitTable":
        """The samples at those places, in that order."""
        return replace(self, **{name: array[..., members] for name, array in self.arrays().items()})


def at_or_below(scores: FloatArray | NDArray[np.float32], threshold: float) -> BoolArray:
    """The exit rule: a sample whose score is at or below the threshold exits.

    Scores are float32 as the network computes them, and the comparison is in float32 too, so that a score of
    float32(0.4) is at the threshold 0.4.
    """
    below: BoolArray = scores <= np.float32(threshold)
    return below
