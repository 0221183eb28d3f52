"""Figure 3: what each estimator said of 28 partitionings, beside what the final models trained for them did."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import linregress

from offramp.core.checks import FloatArray
from offramp.core.exits import DEFAULT_THRESHOLDS, ExitModel, ExitModelName, Replay, exit_model
from offramp.core.profile import Profile
from offramp.nn.profiling.exit_tables import exit_table
from offramp.nn.training.run import Run
from studies.edgesys22.training import final_model, partitionings

JOINT, SEPARATE = "published, joint acc_i", "published, separate acc_i"
MARGINAL, REPLAY = "marginal", "replay"
BEFORE = (JOINT, SEPARATE, MARGINAL, REPLAY)
"""What can be asked before the final model is trained."""
AFTER = "replay of the final model"
"""What can be asked after it: its own exit table on the validation split."""
ESTIMATORS = (*BEFORE, AFTER)


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of a partitioning, or what was so, at each of K thresholds.

    accuracy: [K] share of the samples answered right.
    exit_rates: [K][L] shares of the samples that leave at each exit.
    """

    accuracy: tuple[float, ...]
    exit_rates: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """A partitioning whose final model was trained.

    ends: [L] the last block of each partition.
    predicted: by estimator.
    actual: of the final model on the held-out split.
    """

    ends: tuple[int, ...]
    predicted: dict[str, Told]
    actual: Told


@dataclass(frozen=True, slots=True)
class Agreement:
    """How predictions [n] agree with what was measured [n], in points (hundredths).

    slope, r2: of the least-squares line through (predicted, actual).
    mean_error, worst_error: absolute differences.
    bias: mean of predicted minus actual.
    """

    slope: float
    r2: float
    mean_error: float
    worst_error: float
    bias: float

    @classmethod
    def of(cls, predicted: FloatArray, actual: FloatArray) -> "Agreement":
        """The agreement of two arrays of shares."""
        line = linregress(predicted, actual)
        off = 100 * (predicted - actual)
        return cls(
            slope=float(line.slope),
            r2=float(line.rvalue**2),
            mean_error=float(np.abs(off).mean()),
            worst_error=float(np.abs(off).max()),
            bias=float(off.mean()),
        )


def trials(run: Run, profile: Profile, report: Callable[[float], None]) -> Iterator[Trial]:
    """Every partitioning of figure 3, with what was said of it and what became of it.

    profile: of that run, its exit table and its accuracies on the validation split. Actual is what the final models do
        on the held-out split, which nothing was trained, chosen or predicted with.
    report: told the share of the partitionings that is done.
    """
    models = _models(profile)
    dataset = run.dataset
    wanted = partitionings(len(profile.backbone.blocks))
    for at, ends in enumerate(wanted, start=1):
        final = final_model(run, ends)
        predicted = {name: _told(model, ends) for name, model in models.items()}
        places = range(1, len(ends) + 1)  # the final model's branches are those, whatever blocks they are after
        predicted[AFTER] = _told(Replay(exit_table(final, dataset.validation), np.zeros(1)), places)
        actual = _told(Replay(exit_table(final, dataset.test), np.zeros(1)), places)
        yield Trial(ends, predicted, actual)
        report(at / len(wanted))


def accuracy_agreement(found: Sequence[Trial], estimator: str, *, averaged: bool) -> Agreement:
    """Of an estimator's accuracies: averaged over the thresholds, as the paper has them, or at each."""
    predicted, actual = (np.array(each) for each in zip(*accuracies(found, estimator, averaged=averaged), strict=True))
    return Agreement.of(predicted, actual)


def exit_rate_agreement(found: Sequence[Trial], estimator: str, *, averaged: bool) -> Agreement:
    """Of an estimator's exit rates: averaged over the thresholds, as the paper has them, or at each."""
    predicted, actual = (np.array(each) for each in zip(*exit_rates(found, estimator, averaged=averaged), strict=True))
    return Agreement.of(predicted, actual)


def accuracies(found: Sequence[Trial], estimator: str, *, averaged: bool) -> Iterator[tuple[float, float]]:
    """(predicted, actual) accuracy of each partitioning: the mean over the thresholds, or at each."""
    for trial in found:
        pair = np.array([trial.predicted[estimator].accuracy, trial.actual.accuracy])
        yield from (tuple(each) for each in (pair.mean(axis=1, keepdims=True) if averaged else pair).T.tolist())


def exit_rates(found: Sequence[Trial], estimator: str, *, averaged: bool) -> Iterator[tuple[float, float]]:
    """(predicted, actual) exit rate of each exit of each partitioning: the mean over the thresholds, or at each."""
    for trial in found:
        pair = np.array([trial.predicted[estimator].exit_rates, trial.actual.exit_rates])  # [2, K, L]
        pair = pair.mean(axis=1) if averaged else pair.reshape(2, -1)
        yield from (tuple(each) for each in pair.T.tolist())


def _models(profile: Profile) -> dict[str, ExitModel]:
    """The estimators that know the full configuration and the networks trained for each branch alone."""
    rates = profile.exits
    assert rates is not None
    assert rates.joint_accuracy is not None
    joint = replace(profile, exits=replace(rates, accuracy=rates.joint_accuracy))
    return {
        JOINT: exit_model(joint, ExitModelName.PUBLISHED),
        SEPARATE: exit_model(profile, ExitModelName.PUBLISHED),
        MARGINAL: exit_model(profile, ExitModelName.MARGINAL),
        REPLAY: exit_model(profile, ExitModelName.REPLAY),
    }


def _told(model: ExitModel, ends: Sequence[int]) -> Told:
    found = [model.rates(ends, (threshold,) * (len(ends) - 1)) for threshold in DEFAULT_THRESHOLDS]
    return Told(tuple(each.accuracy for each in found), tuple(each.exit_rates for each in found))
