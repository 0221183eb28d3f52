"""What should happen to given samples: every partition run on all of them here, with no network between."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from offramp.bundle.codecs import decode, encode
from offramp.bundle.session import PartitionSession
from offramp.core.checks import FloatArray
from offramp.core.estimate import Estimate, check_plan, terms
from offramp.core.exits import PlanRates, Replay, at_or_below
from offramp.core.latency import Work
from offramp.core.plan import Plan
from offramp.core.profile import ExitTable, Profile
from offramp.core.topology import Topology
from offramp.errors import fail

PartitionSessions = Mapping[tuple[int, int], PartitionSession]
"""Partitions, loaded, by first and last block."""


def rehearse(
    sessions: PartitionSessions, plan: Plan, samples: NDArray[np.uint8], labels: NDArray[np.int64]
) -> ExitTable:
    """What the plan's branches say of all samples, none of which leaves; a row per partition of the plan.

    samples: [S, C, H, W], S at least 2.
    labels: [S] the true classes.
    Raises `InputError` where an activation can't travel in the plan's codec.
    """
    entropy = np.empty((len(plan.ends), len(samples)), np.float32)
    right = np.empty(entropy.shape, np.bool_)
    travels = [after not in ("", here) for here, after in zip(plan.placement, (*plan.placement[1:], ""), strict=True)]
    # One by one, as tiers get them; and nobody has room for the activations of all of them.
    for s, sample in enumerate(samples):
        x: FloatArray | NDArray[np.uint8] = sample[None]
        for k, blocks in enumerate(plan.blocks):
            x, probabilities, entropy[k, s : s + 1] = sessions[blocks].run(x)
            right[k, s] = probabilities.argmax() == labels[s]
            if travels[k]:
                x = _traveled(x, plan)
    return ExitTable(entropy=entropy, correct=right, label=labels)


def plan_rates(table: ExitTable, plan: Plan) -> PlanRates:
    """Where the samples leave under the plan, and how many are answered right.

    table: of `rehearse`; its rows are the plan's own exits, not the blocks of the backbone.
    """
    return Replay(table, np.zeros(1)).rates(range(1, len(plan.ends) + 1), plan.thresholds)


def staying_accuracy(table: ExitTable, plan: Plan) -> list[float | None]:
    """[L] of each branch, over the samples that go on past it; None where none do.

    table: of `rehearse`.
    """
    found: list[float | None] = []
    here = np.ones(table.samples, np.bool_)
    for k, threshold in enumerate(plan.thresholds):
        here &= ~at_or_below(table.entropy[k], threshold)
        found.append(float(table.correct[k, here].mean()) if here.any() else None)
    return [*found, None]


def estimate_of(plan: Plan, found: PlanRates, *, profile: Profile, topology: Topology) -> Estimate:
    """The estimate of a plan whose samples leave as found, and not as the profile's exit table has it."""
    costs = Work.of(profile.encoded(plan.codec)).on(topology)
    check_plan(plan, blocks=len(profile.backbone.blocks), topology=topology)
    return terms(plan.ends, [topology.index(name) for name in plan.placement], found, costs)


def _traveled(output: FloatArray, plan: Plan) -> FloatArray:
    try:
        return decode(encode(output, plan.codec), output.shape, plan.codec)
    except ValueError as error:
        fail("plan", str(error), "use another codec")
