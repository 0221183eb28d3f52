"""Plans to try out: some that are worth having, and some that nobody would choose."""

from collections.abc import Callable, Sequence

import numpy as np

from offramp.core.codec import Codec, InputCodec
from offramp.core.estimate import EstimatedPlan
from offramp.core.plan import Plan
from offramp.core.sampling import random_plan
from offramp.core.topology import Topology
from offramp.errors import fail

MOST_PARTITIONS = 5
# How many plans are drawn for each that is asked for, before it is given up.
_DRAWS = 1000


def trial_plans(
    frontier: Sequence[EstimatedPlan],
    count: int,
    *,
    blocks: int,
    topology: Topology,
    thresholds: Sequence[float],
    codecs: Sequence[Codec],
    input_codecs: Sequence[InputCodec] = (InputCodec.RAW,),
    allowed: Callable[[Plan], bool] = lambda plan: True,
    seed: int,
) -> tuple[Plan, ...]:
    """`count` different plans: half of them of the frontier, from end to end, and the others drawn at random.

    frontier: fastest first; where it has too few, there are more at random.
    thresholds, codecs, input_codecs: to draw from.
    allowed: which of those drawn at random to keep.
    Raises `InputError` where there are hardly any.
    """
    rng = np.random.default_rng(seed)
    picks = np.linspace(0, len(frontier) - 1, min(count // 2, len(frontier))).round().astype(int)
    plans = dict.fromkeys(frontier[i].plan for i in picks)
    for _ in range(_DRAWS * count):
        if len(plans) >= count:
            break
        partitions = int(rng.integers(1, min(MOST_PARTITIONS, blocks) + 1))
        plan = random_plan(
            rng,
            partitions=partitions,
            blocks=blocks,
            tiers=[tier.name for tier in topology.tiers],
            thresholds=thresholds,
            exits_per_tier=partitions,
            threshold_per_exit=bool(rng.random() < 0.5),
            codecs=codecs,
            input_codecs=input_codecs,
            source=topology.source,
        )
        if allowed(plan):
            plans[plan] = None
    if len(plans) < count:
        fail("plans", f"only {len(plans)} of {count} were found that are allowed", "ask for fewer, or allow more")
    return tuple(plans)
