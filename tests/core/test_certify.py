"""Certified accuracy against worlds whose truth is known, and the bound against tails summed by hand."""

import dataclasses
import math
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.backbone import Backbone, Block
from offramp.core.certify import Certificate, audit, certify, lower_bound, samples_needed, split
from offramp.core.estimate import Latency
from offramp.core.exit_table import ExitTable
from offramp.core.exits import ExitModelName, Replay
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.profile import Profile
from offramp.core.requirement import Requirement
from offramp.core.timing import Timing
from offramp.core.topology import Link, Tier, Topology
from offramp.errors import InputError

BLOCKS, CLASSES = 5, 10
THRESHOLDS = tuple(round(0.08 * level, 2) for level in range(1, 12))
TOPOLOGY = Topology(
    name="line",
    source="watch",
    destination="watch",
    tiers=(Tier("watch", 8), Tier("phone", 4), Tier("cloud", 1)),
    links=(Link(bandwidth_bits_per_s=1e4, latency_s=0.01), Link(bandwidth_bits_per_s=2e4, latency_s=0.05)),
)
SIZES = (4000, 3000, 2000, 1000, 500)
BACKBONE = Backbone(
    "toy", "none", input_bits=5000, result_bits=100, blocks=tuple(Block(f"b{i}", size) for i, size in enumerate(SIZES))
)
TIMING = Timing(
    block_s=np.full(BLOCKS, 0.01),
    branch_s=np.full(BLOCKS, 0.002),
    partition_s=None,
    serialize_s=np.zeros(BLOCKS + 2),
    deserialize_s=np.zeros(BLOCKS + 2),
)


def drawn(samples: int, *, seed: int) -> ExitTable:
    """Samples of a known process: some are hard, some classes are; deeper branches are better and surer."""
    rng = np.random.default_rng(seed)
    label = rng.integers(CLASSES, size=samples)
    skill = np.array([0.2, 0.6, 1.0, 1.4, 1.8])[:, None] - rng.normal(size=samples) - 0.05 * label
    score = skill + rng.normal(scale=0.7, size=(BLOCKS, samples))
    entropy = 1 / (1 + np.exp(1.2 * score + rng.normal(size=score.shape)))
    return ExitTable(entropy, score > -0.4, label)


def planner_on(table: ExitTable) -> Planner:
    profile = Profile(BACKBONE, {"ref": TIMING}, "ref", exit_table=table)
    return Planner.of(profile, TOPOLOGY, thresholds=THRESHOLDS, compiled=True)


@cache
def population() -> Replay:
    return Replay(drawn(200_000, seed=0), np.array(THRESHOLDS))


@cache
def truth(plan: Plan) -> float:
    return population().rates(plan.ends, plan.thresholds).accuracy


# The accuracies of the frontier lie densest here.
FLOOR = Requirement(min_accuracy=0.86)


@cache
def table_of(samples: int, seed: int) -> ExitTable:
    """A validation set drawn from the population."""
    whole = population().table
    members = np.random.default_rng(seed).choice(whole.samples, samples, replace=False)
    return ExitTable(whole.scores[:, members], whole.correct[:, members], whole.label[members])


def tail(right: int, samples: int, accuracy: float) -> float:
    """The probability that at least `right` of `samples` are right."""
    return sum(math.comb(samples, k) * accuracy**k * (1 - accuracy) ** (samples - k) for k in range(right, samples + 1))


# ---- the guarantee


@pytest.mark.parametrize("confidence", [0.95, 0.9])
def test_a_certified_floor_breaks_as_seldom_as_it_says_and_a_naive_one_far_more_often(confidence: float) -> None:
    trials = 300
    certified = naive = handed_back = 0
    for seed in range(1, trials + 1):
        planner = planner_on(table_of(300, seed))
        best = planner.best(FLOOR).best
        naive += best is not None and truth(best.plan) < FLOOR.min_accuracy
        found = certify(planner, dataclasses.replace(FLOOR, confidence=confidence), seed=seed)
        handed_back += found.certified
        certified += found.certified and truth(found.plan) < FLOOR.min_accuracy
    # As many as come up with one chance in a thousand where each trial breaks with the probability allowed.
    most = next(k for k in range(trials) if tail(k + 1, trials, 1 - confidence) < 1e-3)
    assert certified <= most
    assert handed_back > trials / 2
    assert naive > 2 * most


def test_the_bound_of_an_audit_holds_as_often_as_it_says_although_its_accuracy_was_chosen_for() -> None:
    trials = 200
    found = [
        audit(planner_on(table_of(300, n)), dataclasses.replace(FLOOR, confidence=0.8), seed=n)
        for n in range(1, trials + 1)
    ]
    broken = sum(each.bound > truth(each.plan) for each in found)
    assert broken <= next(k for k in range(trials) if tail(k + 1, trials, 0.2) < 1e-3)
    flattery = np.mean([each.chosen.accuracy - truth(each.plan) for each in found])
    honest = np.mean([each.checked.accuracy - truth(each.plan) for each in found])
    assert flattery > 0.005
    assert abs(honest) < flattery / 2


# ---- what is certified


def test_it_is_fixed_sequence_testing_of_the_choosing_halfs_frontier() -> None:
    table = table_of(400, 3)
    planner = planner_on(table)
    choosing, certifying = split(table, seed=11)
    order = [estimated.plan for estimated in reversed(planner_on(choosing).frontier())]
    passed = []
    for plan in order:
        right = round(planner_on(certifying).estimate(plan).estimate.accuracy * certifying.samples)
        if lower_bound(right, certifying.samples, confidence=0.9) < 0.86:
            break
        passed.append((plan, right))
    assert 0 < len(passed) < len(order)
    plan, right = passed[-1]
    assert certify(planner, dataclasses.replace(FLOOR, confidence=0.9), seed=11) == Certificate(
        plan=plan,
        chosen=planner_on(choosing).estimate(plan).estimate,
        checked=planner_on(certifying).estimate(plan).estimate,
        bound=lower_bound(right, certifying.samples, confidence=0.9),
        confidence=0.9,
        floor=0.86,
        choosing_samples=200,
        certifying_samples=200,
        tested=len(passed) + 1,
    )


def test_where_none_passes_the_most_accurate_plan_is_told_and_is_not_certified() -> None:
    planner = planner_on(table_of(400, 1))
    found = certify(planner, Requirement(min_accuracy=0.97, confidence=0.9), seed=0)
    choosing, _ = split(table_of(400, 1), seed=0)
    assert not found.certified
    assert found.bound < 0.97
    assert found.tested == 1
    assert found.plan == planner_on(choosing).frontier()[-1].plan


def test_where_all_pass_the_fastest_is_certified() -> None:
    planner = planner_on(table_of(400, 1))
    found = certify(planner, Requirement(min_accuracy=0.1, confidence=0.9), seed=0)
    choosing, _ = split(table_of(400, 1), seed=0)
    frontier = planner_on(choosing).frontier()
    assert found.certified
    assert found.plan == frontier[0].plan
    assert found.tested == len(frontier)


@pytest.mark.parametrize("latency", [Latency.MEAN, Latency.P95])
def test_only_plans_within_the_limit_are_tested(latency: Latency) -> None:
    planner = planner_on(table_of(400, 1))
    choosing, _ = split(table_of(400, 1), seed=0)
    frontier = planner_on(choosing).frontier(Requirement(latency=latency))
    middle = len(frontier) // 2
    limit = latency.of(frontier[middle].estimate)
    found = certify(planner, Requirement(0.05, limit, latency, confidence=0.9), seed=0)
    assert found.tested == middle + 1
    assert found.plan == frontier[0].plan
    assert certify(planner, Requirement(0.05, limit / 1e6, latency, confidence=0.9), seed=0) is None


def test_an_audit_is_of_the_choosing_halfs_best_plan_or_the_nearest() -> None:
    planner = planner_on(table_of(400, 1))
    choosing, certifying = split(table_of(400, 1), seed=0)
    for requirement in (FLOOR, Requirement(max_latency_s=0.5), Requirement(min_accuracy=1.0)):
        answer = planner_on(choosing).best(requirement)
        wanted = (answer.best or answer.nearest).plan
        found = audit(planner, dataclasses.replace(requirement, confidence=0.9), seed=0)
        assert found.plan == wanted
        assert found.checked == planner_on(certifying).estimate(wanted).estimate
        assert found.floor is None
        assert not found.certified


def test_models_without_samples_are_refused() -> None:
    profile = Profile(BACKBONE, {"ref": TIMING}, "ref", exit_table=table_of(400, 1))
    planner = Planner.of(profile, TOPOLOGY, exits=ExitModelName.MARGINAL)
    for function in (certify, audit):
        with pytest.raises(InputError, match="use the replay model"):
            function(planner, dataclasses.replace(FLOOR, confidence=0.9), seed=0)


def test_certifying_needs_a_floor() -> None:
    with pytest.raises(InputError, match="no floor"):
        certify(planner_on(table_of(400, 1)), Requirement(max_latency_s=1, confidence=0.9), seed=0)


def test_too_few_samples_say_how_many_would_do() -> None:
    planner = planner_on(table_of(50, 1))
    with pytest.raises(InputError, match=r"25 samples can't show 0.95 at confidence 0.9.* 90 samples or more"):
        certify(planner, Requirement(min_accuracy=0.95, confidence=0.9), seed=0)
    perfect = ExitTable(np.ones((BLOCKS, 90)), np.ones((BLOCKS, 90), np.bool_), np.zeros(90, np.int64))
    assert certify(planner_on(perfect), Requirement(min_accuracy=0.95, confidence=0.9), seed=0).certified
    with pytest.raises(InputError, match="between 0 and 1"):
        certify(planner_on(perfect), Requirement(min_accuracy=1.0, confidence=0.9), seed=0)


# ---- the bound


@given(samples=st.integers(1, 300), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_the_bound_is_where_the_binomial_tail_is_one_minus_the_confidence(
    samples: int, share: float, confidence: float
) -> None:
    right = max(1, round(share * samples))
    bound = lower_bound(right, samples, confidence=confidence)
    assert tail(right, samples, bound) == pytest.approx(1 - confidence, rel=1e-6)


def test_none_right_shows_nothing() -> None:
    assert lower_bound(0, 10, confidence=0.9) == 0.0


@given(floor=st.floats(0.01, 0.999), confidence=st.floats(0.5, 0.999))
def test_samples_needed_are_enough_and_one_less_is_not(floor: float, confidence: float) -> None:
    needed = samples_needed(floor, confidence=confidence)
    assert floor**needed <= (1 - confidence) * (1 + 1e-9)
    assert lower_bound(needed, needed, confidence=confidence) >= floor * (1 - 1e-9)
    assert needed == 1 or lower_bound(needed - 1, needed - 1, confidence=confidence) < floor * (1 + 1e-9)


@pytest.mark.parametrize(("right", "samples", "confidence"), [(-1, 4, 0.9), (5, 4, 0.9), (0, 0, 0.9), (1, 4, 1.0)])
def test_nonsense_is_refused(right: int, samples: int, confidence: float) -> None:
    with pytest.raises(InputError):
        lower_bound(right, samples, confidence=confidence)


# ---- the split


@settings(max_examples=50)
@given(label=st.lists(st.integers(0, 6), min_size=4, max_size=60), seed=st.integers(0, 2**32))
def test_halves_are_disjoint_complete_and_stratified(label: list[int], seed: int) -> None:
    # Every sample carries its own number in its entropies, and is right at branch 2 if that number is odd.
    number = np.arange(len(label))
    table = ExitTable(np.array([number, number]) / 64, np.array([number < 0, number % 2 == 1]), np.array(label))
    choosing, certifying = split(table, seed=seed)
    numbers = [(half.scores[0] * 64).astype(int).tolist() for half in (choosing, certifying)]
    assert sorted(numbers[0] + numbers[1]) == number.tolist()
    assert abs(choosing.samples - certifying.samples) <= 1
    for half, members in zip((choosing, certifying), numbers, strict=True):
        assert half.label.tolist() == [label[n] for n in members]
        assert half.correct[1].tolist() == [n % 2 == 1 for n in members]
        assert (half.scores[0] == half.scores[1]).all()
    counts = [Counter(half.label.tolist()) for half in (choosing, certifying)]
    assert all(abs(counts[0][each] - counts[1][each]) <= 1 for each in set(label))


@pytest.mark.parametrize("label", [np.zeros(64, np.int64), np.arange(64)], ids=["one label", "a label each"])
def test_the_seed_decides_who_goes_where(label: np.ndarray) -> None:
    table = dataclasses.replace(table_of(64, 1), label=label)
    once, again, other = (split(table, seed=seed)[0].scores.tolist() for seed in (5, 5, 6))
    assert once == again
    assert once != other


def test_every_sample_is_as_likely_in_either_half() -> None:
    table = ExitTable(np.arange(7)[None] / 8, np.ones((1, 7), np.bool_), np.array([0, 0, 0, 1, 1, 2, 3]))
    seen = np.zeros(7)
    for seed in range(2000):
        seen[(split(table, seed=seed)[0].scores[0] * 8).astype(int)] += 1
    # A share of 2000 draws strays by 0.011 as a rule.
    assert np.abs(seen / 2000 - 1 / 2).max() < 0.05


def test_three_samples_can_not_be_halved() -> None:
    with pytest.raises(InputError, match="four samples"):
        split(table_of(3, 1), seed=0)
