"""What is fitted to a sample of partitions, against made-up machines whose every time is known."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.nn.profiling import partition_fit
from offramp.nn.profiling.partition_fit import Ends, count, filled, held_out, pairs, predicted, sample, sums


@dataclass
class Machine:
    """A machine that runs a network step by step, by rules of its own."""

    work_s: list[float]
    enter_s: list[float]
    answer_s: list[float]
    call_s: float
    warm: float = 1.0  # how long a block takes after another one, relative to after nothing
    spill: float = 0.0  # how much longer every block takes per block before it in the same call
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def alone(self) -> tuple[np.ndarray, np.ndarray]:
        blocks = [self.call_s + enter + work for enter, work in zip(self.enter_s, self.work_s, strict=True)]
        return np.array(blocks), np.array([self.call_s + answer for answer in self.answer_s])

    def exactly(self, first: int, last: int) -> float:
        elapsed = self.call_s + self.enter_s[first - 1]
        for position, block in enumerate(range(first, last + 1)):
            elapsed += self.work_s[block - 1] * (self.warm if position else 1.0) * (1 + self.spill * position)
        return elapsed + self.answer_s[last - 1]

    def times(self, ends: list[Ends]) -> np.ndarray:
        exactly = np.array([self.exactly(*each) for each in ends])
        return exactly * np.exp(self.rng.normal(0, self.noise, len(ends))) if self.noise else exactly


def machine(blocks: int, **rules: float) -> Machine:
    """Blocks between 50 and 150 us, entering 2 to 20 us, answers 5 to 10 us."""
    rng = np.random.default_rng(11)
    return Machine(
        [*rng.uniform(50e-6, 150e-6, blocks)],
        [*rng.uniform(2e-6, 20e-6, blocks)],
        [*rng.uniform(5e-6, 10e-6, blocks)],
        call_s=20e-6,
        **rules,
    )


def rest(blocks: int, measured: list[Ends]) -> list[Ends]:
    return sorted({*pairs(blocks)} - {*measured})


def error(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean(np.abs(found / truth - 1)))


@pytest.mark.parametrize(
    ("blocks", "share", "expected"),
    [
        (10, None, 55),
        (13, None, 91),
        (14, None, 100),
        (55, None, 154),
        (152, None, 1163),
        (55, 1.0, 1540),
        (55, 0.25, 385),
        (10, 0.1, 20),
        (4, 0.01, 10),
        (1, 0.5, 1),
    ],
)
def test_how_many_are_measured(blocks, share, expected):
    assert count(blocks, share) == expected


@given(st.integers(1, 30), st.floats(0.001, 1), st.integers(0, 3))
def test_a_sample_has_every_partition_at_most_once(blocks, share, seed):
    size = count(blocks, share)
    taken = sample(blocks, size, seed=seed)
    assert len({*taken}) == len(taken) == size
    assert {*taken} <= {*pairs(blocks)}
    assert taken == sample(blocks, size, seed=seed)


def test_a_sample_is_like_the_whole_and_in_no_order():
    taken, every = np.array(sample(55, 154, seed=0)), np.array(pairs(55))
    order = np.arange(154)
    for which in (0, 1):
        assert abs(np.corrcoef(order, taken[:, which])[0, 1]) < 0.2
    assert [*np.sort(taken[taken[:, 0] == 1][:, 1])] == [*range(1, 56)]
    taken, every = (ends[ends[:, 0] > 1] for ends in (taken, every))
    for of in (lambda ends: ends[:, 0], lambda ends: ends[:, 1], lambda ends: ends[:, 1] - ends[:, 0]):
        assert of(taken).mean() == pytest.approx(of(every).mean(), abs=2)
        assert of(taken).std() == pytest.approx(of(every).std(), abs=2)


def test_where_parts_add_up_their_sum_is_the_answer():
    box = machine(12)
    box.call_s, box.enter_s = 0.0, [0.0] * 12
    measured = sample(12, 20, seed=0)
    others = rest(12, measured)
    assert predicted(*box.alone(), measured, box.times(measured), others) == pytest.approx(box.times(others), rel=1e-9)
    assert sums(*box.alone(), others) == pytest.approx(box.times(others), rel=1e-9)


def test_a_tenth_is_enough_for_a_deep_network():
    """Calls saved, blocks that run warm, long partitions that spill out of the caches: the plain sum is far off."""
    box = machine(55, warm=0.8, spill=0.002)
    measured = sample(55, count(55), seed=0)
    others = rest(55, measured)
    assert error(sums(*box.alone(), others), box.times(others)) > 0.15
    assert error(predicted(*box.alone(), measured, box.times(measured), others), box.times(others)) < 0.02


def test_a_block_that_is_slow_to_begin_with_is_found():
    box = machine(30, warm=0.9)
    box.enter_s[11] = 300e-6  # hidden in block 12 alone, paid for only where a partition begins with it
    measured = sample(30, 93, seed=1)
    others = rest(30, measured)
    found = predicted(*box.alone(), measured, box.times(measured), others)
    assert error(found, box.times(others)) < 0.06
    inside = [each for each in others if each[0] < 12 <= each[1]]
    assert error(sums(*box.alone(), inside), box.times(inside)) > 3 * error(
        predicted(*box.alone(), measured, box.times(measured), inside), box.times(inside)
    )


def test_what_differs_between_measurements_is_evened_out():
    """The fitted times of a noisy machine are nearer to the truth than one more measurement is."""
    box = machine(55, warm=0.8, noise=0.1)
    measured = sample(55, count(55), seed=0)
    others = rest(55, measured)
    truth = np.array([box.exactly(*each) for each in others])
    found = predicted(*box.alone(), measured, box.times(measured), others)
    assert error(found, truth) < 0.03 < error(box.times(others), truth)


def test_the_error_held_out_is_that_of_the_partitions_not_measured():
    box = machine(55, warm=0.8, noise=0.05)
    measured = sample(55, count(55), seed=0)
    others = rest(55, measured)
    seconds, again = box.times(measured), box.times(others)
    found = held_out(*box.alone(), measured, seconds)
    wrong_s = predicted(*box.alone(), measured, seconds, others) - again
    assert found.error == pytest.approx(error(again + wrong_s, again), rel=0.25)
    assert found.rmse_s == pytest.approx(np.sqrt(np.mean(wrong_s**2)), rel=0.35)


def test_an_outlier_moves_little():
    box = machine(55, warm=0.8, noise=0.01)
    measured = sample(55, count(55), seed=0)
    others = rest(55, measured)
    truth = np.array([box.exactly(*each) for each in others])
    seconds = box.times(measured)
    calm = error(predicted(*box.alone(), measured, seconds, others), truth)
    seconds[[k for k, (first, _) in enumerate(measured) if first > 1][:3]] *= 5
    assert error(predicted(*box.alone(), measured, seconds, others), truth) < calm + 0.02


def test_the_measured_ones_stay_as_measured():
    box = machine(20, warm=0.8, noise=0.05)
    measured = sample(20, 100, seed=2)
    seconds = box.times(measured)
    found = filled(*box.alone(), measured, seconds)
    assert np.array_equal(np.isfinite(found), np.triu(np.ones((20, 20), bool)))
    for (first, last), value in zip(measured, seconds, strict=True):
        assert found[first - 1, last - 1] == value
    (first, last), *_ = others = rest(20, measured)
    assert found[first - 1, last - 1] == predicted(*box.alone(), measured, seconds, others)[0]


def test_nothing_is_fitted_where_all_were_measured(monkeypatch):
    monkeypatch.setattr(partition_fit, "predicted", None)
    box = machine(3)
    found = filled(*box.alone(), pairs(3), box.times(pairs(3)))
    assert [*found[np.triu_indices(3)]] == [*box.times(pairs(3))]


times = st.floats(1e-6, 1e-1)


@given(st.data())
@settings(max_examples=60)
def test_whatever_was_measured_the_answer_is_a_time(data):
    blocks = data.draw(st.integers(2, 9))
    block_s, branch_s = (np.array(data.draw(st.lists(times, min_size=blocks, max_size=blocks))) for _ in range(2))
    measured = sample(blocks, data.draw(st.integers(blocks + 1, len(pairs(blocks)))), seed=0)
    seconds = np.array(data.draw(st.lists(times, min_size=len(measured), max_size=len(measured))))
    found = filled(block_s, branch_s, measured, seconds)[np.triu_indices(blocks)]
    assert np.isfinite(found).all()
    assert found.min() > 0
    # Slower in everything is slower in everything. By a power of two, which changes no digit.
    slower = filled(block_s * 1024, branch_s * 1024, measured, seconds * 1024)[np.triu_indices(blocks)]
    assert slower == pytest.approx(found * 1024, rel=1e-9)
