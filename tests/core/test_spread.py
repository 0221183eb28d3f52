"""The spread of a plan's mean latency against a sum by hand and against drawing the times."""

import dataclasses
import math

import numpy as np
import pytest

from offramp.core.backbone import Backbone, Block
from offramp.core.estimate import EstimatedPlan
from offramp.core.exit_table import ExitTable
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.profile import Profile
from offramp.core.spread import spread_s
from offramp.core.timing import Timing
from offramp.core.topology import Link, Tier, Topology

BLOCKS = 4
REFERENCE = Timing(
    block_s=np.array([1.0, 2.0, 4.0, 3.0]),
    branch_s=np.array([0.5, 0.5, 0.25, 0.125]),
    partition_s=None,
    serialize_s=np.zeros(BLOCKS + 2),
    deserialize_s=np.zeros(BLOCKS + 2),
    block_spread_s=np.array([0.1, 0.3, 0.2, 0.4]),
    branch_spread_s=np.array([0.05, 0.02, 0.1, 0.01]),
)
PHONE = dataclasses.replace(REFERENCE, block_spread_s=np.array([0.7, 0.6, 0.9, 0.8]))
LINE = Topology(
    name="line",
    source="watch",
    destination="watch",
    tiers=(Tier("watch", 3), Tier("phone", device="phone"), Tier("cloud", 0.5)),
    links=(Link(bandwidth_bits_per_s=10, latency_s=1), Link(bandwidth_bits_per_s=100, latency_s=5)),
)
# Of 4 samples, branch 1 lets one go at T=0.5 and branch 2 two, one of them for the first time.
TABLE = ExitTable(
    scores=np.array([[0.1, 0.9, 0.9, 0.9], [0.2, 0.4, 0.9, 0.9], [0.9] * 4, [0.9] * 4]),
    correct=np.ones((BLOCKS, 4), np.bool_),
    label=np.zeros(4, np.int64),
)
PROFILE = Profile(
    Backbone("toy", "none", input_bits=100, result_bits=10, blocks=tuple(Block(f"b{i}", 50) for i in range(BLOCKS))),
    {"ref": REFERENCE, "phone": PHONE},
    "ref",
    exit_table=TABLE,
)


def estimated(plan: str, profile: Profile = PROFILE) -> EstimatedPlan:
    return Planner.of(profile, LINE).estimate(Plan.parse(plan))


def spread(plan: str, profile: Profile = PROFILE) -> float | None:
    return spread_s(estimated(plan, profile), profile=profile, topology=LINE)


def test_one_partition_adds_its_variances_up() -> None:
    assert spread("1-2@watch") == pytest.approx(3 * math.sqrt(0.1**2 + 0.3**2 + 0.02**2))


def test_partitions_count_with_the_share_that_gets_there_their_slowdown_or_their_own_device() -> None:
    # All start on the watch, 3 of 4 go on to the phone, 2 of 4 to the cloud.
    by_hand = [
        (1.0 * 3, [0.1, 0.05]),
        (0.75 * 1, [0.6, 0.02]),
        (0.5 * 0.5, [0.2, 0.4, 0.01]),
    ]
    variance = sum((weight * each) ** 2 for weight, spreads in by_hand for each in spreads)
    assert spread("1@watch 2@phone 3-4@cloud T=0.50") == pytest.approx(math.sqrt(variance))


def test_times_that_are_drawn_spread_as_far() -> None:
    plan = "1-2@phone 3-4@watch T=0.50"
    rng = np.random.default_rng(7)

    def drawn(timing: Timing) -> Timing:
        # Gamma with the mean and the standard deviation measured: times are never negative.
        def draw(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
            return rng.gamma((mean / deviation) ** 2, deviation**2 / mean)

        return dataclasses.replace(
            timing,
            block_s=draw(timing.block_s, timing.block_spread_s),
            branch_s=draw(timing.branch_s, timing.branch_spread_s),
        )

    runs = [
        dataclasses.replace(PROFILE, timings={name: drawn(timing) for name, timing in PROFILE.timings.items()})
        for _ in range(1000)
    ]
    latencies = [estimated(plan, run).estimate.latency_s for run in runs]
    # The deviation of 1000 draws is itself off by 1/sqrt(2000) = 2.2 % as a rule, and by 8 % almost never.
    assert np.std(latencies) == pytest.approx(spread(plan), rel=0.08)
    assert np.mean(latencies) == pytest.approx(estimated(plan).estimate.latency_s, rel=0.01)


@pytest.mark.parametrize("missing", ["block_spread_s", "branch_spread_s"])
def test_there_is_none_exactly_where_a_device_on_the_plan_has_none(missing: str) -> None:
    phone = dataclasses.replace(PHONE, **{missing: None})
    profile = dataclasses.replace(PROFILE, timings={"ref": REFERENCE, "phone": phone})
    assert spread("1@watch 2-4@phone T=0.50", profile) is None
    assert spread("1@watch 2-4@cloud T=0.50", profile) is not None
