"""What samples drawn at random show of all samples: one-sided bounds that hold with a given confidence, for any n.

New samples are samples like those at hand. Every bound here holds whatever the true distribution is: none is an
approximation for many samples.
"""

import math

import numpy as np
from scipy.optimize import brentq  # type: ignore[import-untyped]
from scipy.special import betaincinv  # type: ignore[import-untyped]

from offramp.core.checks import FloatArray
from offramp.errors import Fault, refuse

# The most that is staked on one sample: 1 would allow to lose all.
_MOST_STAKE = 0.75


def lower_bound(right: int, samples: int, *, confidence: float) -> float:
    """The accuracy that `right` of `samples` independent answers show with that confidence.

    The exact one-sided bound of Clopper and Pearson (Biometrika 26, 1934): the accuracy at which that many right
    answers or more have probability 1 - confidence; 0 where none is right.
    """
    faults = list(_confidence_faults(confidence))
    if not 0 <= right <= samples or samples < 1:
        faults.append(Fault("right", f"{right} of {samples}", "give how many of at least one sample are right"))
    refuse(faults)
    return float(betaincinv(right, samples - right + 1, 1 - confidence)) if right else 0.0


def mean_upper_bound(values: FloatArray, low: float, high: float, *, confidence: float) -> float:
    """A value that the mean of all samples exceeds with probability 1 - confidence at most.

    Suppose the mean were m or more. Then whoever bets on every sample being below m, and stakes on each what the
    samples before it advise, multiplies a capital of 1 by 1 + stake (m - value) each time, which on average does not
    grow: that it ever reaches 1 / (1 - confidence) has probability 1 - confidence at most (Ville's inequality). The
    bound is the least m at which it did (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
    betting", Journal of the Royal Statistical Society B 86, 2024; stakes by their plug-in rule for n samples).

    values: [n] in the order in which they were drawn.
    low, high: what no sample can be below, and above.
    Returns a value from the samples' mean to `high`.
    """
    refuse(_confidence_faults(confidence))
    if high <= low:
        return high
    share = (np.asarray(values, np.float64) - low) / (high - low)
    drawn = np.arange(1, len(share) + 1)
    mean = (0.5 + np.cumsum(share)) / (drawn + 1)
    variance = (0.25 + np.cumsum((share - mean) ** 2)) / (drawn + 1)
    before = np.concatenate([[0.25], variance[:-1]])
    goal = -math.log1p(-confidence)
    stakes = np.minimum(np.sqrt(2 * goal / (len(share) * before)), _MOST_STAKE)

    def above_goal(m: float) -> float:
        """The logarithm of the most capital there ever was, over the goal's; it grows with m."""
        return float(np.cumsum(np.log1p(stakes * (m - share))).max()) - goal

    bound = 1.0 if above_goal(1.0) < 0 else float(brentq(above_goal, 0.0, 1.0, xtol=1e-12))
    return low + max(bound, float(share.mean())) * (high - low)


def percentile_upper_bound(values: FloatArray, possible: FloatArray, percent: float, *, confidence: float) -> float:
    """A value that the percentile of all samples exceeds with probability 1 - confidence at most.

    The least possible value which so many samples don't exceed that their share of all is shown to be `percent`. Of
    values below the percentile the greatest has the most samples, and that it is taken for the percentile or for more
    has that probability; so one bound on a share is enough, whichever value is found.

    values: [n]. possible: [L] all the values that samples can have.
    percent: of a hundred samples don't exceed the percentile.
    """
    ordered = np.sort(values)
    for value in np.sort(possible):
        within = int(np.searchsorted(ordered, value, side="right"))
        if lower_bound(within, len(ordered), confidence=confidence) >= percent / 100:
            return float(value)
    return float(np.max(possible))


def samples_needed(accuracy: float, floor: float, *, confidence: float) -> int | None:
    """The fewest samples which, with that share of them right, show that the floor is kept.

    accuracy: of the samples, rounded to whole samples that are right.
    Returns None where the accuracy is not above the floor, so that no number would do, or it would be 2^40 or more.
    """
    refuse(_confidence_faults(confidence))
    if accuracy <= floor:
        return None

    def enough(samples: int) -> bool:
        return lower_bound(math.floor(accuracy * samples + 1e-9), samples, confidence=confidence) >= floor

    most = 1
    while not enough(most):
        most *= 2
        if most >= 1 << 40:
            return None
    least = most // 2
    # Whole samples make it a staircase, so this finds the end of one of its last steps.
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if enough(middle) else (middle, most)
    return most


def _confidence_faults(confidence: float) -> list[Fault]:
    if 0 < confidence < 1:
        return []
    return [Fault("confidence", f"{confidence} is not between 0 and 1", "give a probability, e.g. 0.95")]
