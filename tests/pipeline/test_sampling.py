"""Plans to try out: half of the frontier from end to end, the others at random among those that are allowed."""

import pytest

from offramp import Planner, read_profile, read_topology
from offramp.core.codec import Codec
from offramp.core.estimate import EstimatedPlan
from offramp.core.plan import Plan
from offramp.errors import InputError
from offramp.pipeline.sampling import MOST_PARTITIONS, trial_plans

TOPOLOGY = read_topology("mobile")
PLANNER = Planner.of(read_profile("resnet20-digits"), TOPOLOGY)
DRAWN_FROM = {"blocks": 10, "topology": TOPOLOGY, "thresholds": [0.2, 0.4], "codecs": [Codec.FP32, Codec.INT8]}


def estimated(*texts: str) -> list[EstimatedPlan]:
    return [PLANNER.estimate(Plan.parse(text)) for text in texts]


MEMBERS = estimated(*(f"1-{end}@cloud" for end in range(1, 10)))


def test_half_of_them_are_of_the_frontier_from_end_to_end() -> None:
    plans = trial_plans(MEMBERS, 6, **DRAWN_FROM, seed=1)
    assert [str(plan) for plan in plans[:3]] == ["1@cloud", "1-5@cloud", "1-9@cloud"]
    assert len(set(plans)) == 6


def test_where_the_frontier_has_too_few_there_are_more_at_random() -> None:
    plans = trial_plans(MEMBERS[:1], 40, **DRAWN_FROM, seed=1)
    assert str(plans[0]) == "1@cloud"
    assert len(set(plans)) == 40
    drawn = plans[1:]
    assert {len(plan.ends) for plan in drawn} == set(range(1, MOST_PARTITIONS + 1))
    assert {plan.codec for plan in drawn} == {Codec.FP32, Codec.INT8}
    assert {threshold for plan in drawn for threshold in plan.thresholds} == {0.2, 0.4}
    assert {tier for plan in drawn for tier in plan.placement} == {tier.name for tier in TOPOLOGY.tiers}


def test_the_same_seed_draws_the_same_and_another_others() -> None:
    first, again, other = (trial_plans(MEMBERS, 20, **DRAWN_FROM, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first[:9] == other[:9]
    assert first != other


def test_only_what_is_allowed_is_drawn_and_too_few_are_refused() -> None:
    few = {**DRAWN_FROM, "blocks": 2, "allowed": lambda plan: plan.placement == ("cloud",)}
    # One partition on the cloud ends at one of two blocks, in one of two codecs: there are no more.
    plans = trial_plans([], 4, **few, seed=1)
    assert {(plan.ends, plan.codec) for plan in plans} == {((end,), codec) for end in (1, 2) for codec in few["codecs"]}
    with pytest.raises(InputError, match="only 4 of 5 were found that are allowed; ask for fewer, or allow more"):
        trial_plans([], 5, **few, seed=1)
