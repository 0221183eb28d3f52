"""Bounds against tails summed by hand, and against draws from populations whose truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.core.bounds import lower_bound, mean_upper_bound, percentile_upper_bound, samples_needed
from offramp.errors import InputError


def tail(right: int, samples: int, accuracy: float) -> float:
    """The probability that at least `right` of `samples` are right."""
    return sum(math.comb(samples, k) * accuracy**k * (1 - accuracy) ** (samples - k) for k in range(right, samples + 1))


def most_misses(trials: int, chance: float) -> int:
    """As many as come up with one chance in a thousand where each trial misses with that chance."""
    return next(k for k in range(trials) if tail(k + 1, trials, chance) < 1e-3)


# ---- accuracies


@given(samples=st.integers(1, 300), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_the_bound_is_where_the_binomial_tail_is_one_minus_the_confidence(
    samples: int, share: float, confidence: float
) -> None:
    right = max(1, round(share * samples))
    bound = lower_bound(right, samples, confidence=confidence)
    assert tail(right, samples, bound) == pytest.approx(1 - confidence, rel=1e-6)


def test_none_right_shows_nothing() -> None:
    assert lower_bound(0, 10, confidence=0.9) == 0.0


@pytest.mark.parametrize(("right", "samples", "confidence"), [(-1, 4, 0.9), (5, 4, 0.9), (0, 0, 0.9), (1, 4, 1.0)])
def test_nonsense_is_refused(right: int, samples: int, confidence: float) -> None:
    with pytest.raises(InputError):
        lower_bound(right, samples, confidence=confidence)


@given(floor=st.floats(0.1, 0.9), above=st.floats(0.02, 0.5), confidence=st.floats(0.5, 0.999))
def test_samples_needed_are_enough_and_one_less_is_not(floor: float, above: float, confidence: float) -> None:
    accuracy = min(1.0, floor + above)
    needed = samples_needed(accuracy, floor, confidence=confidence)
    assert needed is not None

    def shown(samples: int) -> float:
        return lower_bound(math.floor(accuracy * samples + 1e-9), samples, confidence=confidence)

    assert shown(needed) >= floor
    assert needed == 1 or shown(needed - 1) < floor


def test_no_number_of_samples_shows_more_than_there_is() -> None:
    assert samples_needed(0.8, 0.8, confidence=0.95) is None
    assert samples_needed(0.7, 0.8, confidence=0.95) is None


# ---- latencies

# What exits take, and how often: rare slow ones, two alike, one for all.
MIXTURES = [
    ([10.0, 200.0], [0.98, 0.02]),
    ([10.0, 12.0, 40.0], [0.3, 0.3, 0.4]),
    ([5.0, 5.0, 6.0], [0.1, 0.4, 0.5]),
]


@pytest.mark.parametrize(("times", "shares"), MIXTURES)
@pytest.mark.parametrize("samples", [20, 400])
def test_the_mean_is_above_its_bound_as_seldom_as_it_says(
    times: list[float], shares: list[float], samples: int
) -> None:
    rng, trials, truth = np.random.default_rng(1), 400, float(np.dot(times, shares))
    draws = rng.choice(times, size=(trials, samples), p=shares)
    bounds = [mean_upper_bound(draw, min(times), max(times), confidence=0.9) for draw in draws]
    assert sum(bound < truth for bound in bounds) <= most_misses(trials, 0.1)
    assert all(draw.mean() <= bound <= max(times) for draw, bound in zip(draws, bounds, strict=True))


def test_the_bound_on_a_mean_comes_close_to_it_with_samples() -> None:
    rng = np.random.default_rng(2)
    draw = rng.choice([10.0, 60.0], size=4000, p=[0.9, 0.1])
    bound = mean_upper_bound(draw, 10.0, 60.0, confidence=0.95)
    error = draw.std() / math.sqrt(len(draw))
    # A bettor who knew the variance would get to sqrt(2 log 20) = 2.45 standard errors.
    assert draw.mean() + 1.64 * error < bound < draw.mean() + 2.8 * error


def test_where_all_samples_take_the_same_that_is_the_bound() -> None:
    assert mean_upper_bound(np.full(5, 3.0), 3.0, 3.0, confidence=0.99) == 3.0


@pytest.mark.parametrize("percent", [50, 95])
@pytest.mark.parametrize(("times", "shares"), MIXTURES)
def test_the_percentile_is_above_its_bound_as_seldom_as_it_says(
    times: list[float], shares: list[float], percent: int
) -> None:
    rng, trials = np.random.default_rng(3), 400
    truth = times[int(np.searchsorted(np.cumsum(shares), percent / 100 - 1e-12))]
    draws = rng.choice(times, size=(trials, 100), p=shares)
    bounds = [percentile_upper_bound(draw, np.array(times), percent, confidence=0.9) for draw in draws]
    assert sum(bound < truth for bound in bounds) <= most_misses(trials, 0.1)
    assert {*bounds} <= {*times}


def test_of_few_samples_a_percentile_may_be_the_slowest_exit() -> None:
    assert percentile_upper_bound(np.full(20, 1.0), np.array([1.0, 9.0]), 99, confidence=0.95) == 9.0
    assert percentile_upper_bound(np.full(20, 1.0), np.array([1.0, 9.0]), 50, confidence=0.95) == 1.0
