"""What should happen to given samples: every partition run on all of them here, with no network between."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp import engine
from offramp.bundle import Manifest, read_model
from offramp.core.checks import FloatArray
from offramp.core.codec import decode, encode
from offramp.core.estimate import Estimate, check_plan, terms
from offramp.core.exits import Leaving, Replay
from offramp.core.latency import Work
from offramp.core.plan import Plan
from offramp.core.profile import ExitTable, Profile
from offramp.core.topology import Topology

Engines = Mapping[tuple[int, int], engine.Session]


def load(folder: Path, bundle: Manifest) -> dict[tuple[int, int], engine.Session]:
    """The partitions of the bundle in `folder` by first and last block. Raises `InputError` for a damaged file."""
    found: dict[tuple[int, int], engine.Session] = {}
    for partition in bundle.partitions:
        blocks = partition.first, partition.last
        tier = next(plan.placement[plan.blocks.index(blocks)] for plan in bundle.plans if blocks in plan.blocks)
        found[blocks] = engine.Session(read_model(folder / "tiers" / tier, partition))
    return found


def leaving(engines: Engines, plan: Plan, samples: NDArray[np.uint8], labels: NDArray[np.int64]) -> Leaving:
    """Where the samples leave under the plan, and how many are answered right.

    samples: [S, C, H, W], S at least 2.
    labels: [S] the true classes.
    """
    entropy, right = [], []
    x: FloatArray | NDArray[np.uint8] = samples
    for blocks, here, after in zip(plan.blocks, plan.placement, (*plan.placement[1:], ""), strict=True):
        outputs = [engines[blocks].run(sample[None]) for sample in x]
        entropy.append(np.concatenate([each[2] for each in outputs]))
        right.append(np.array([each[1].argmax() for each in outputs]) == labels)
        if after and after != here:
            x = np.concatenate([decode(encode(out, plan.codec), out.shape, plan.codec) for out, _, _ in outputs])
        else:
            x = np.concatenate([output for output, _, _ in outputs])
    table = ExitTable(entropy=np.stack(entropy), correct=np.stack(right), label=labels)
    # The rows of this table are the plan's own exits, not the blocks of the backbone.
    return Replay(table, np.zeros(1)).leaving(range(1, len(plan.ends) + 1), plan.thresholds)


def estimate_of(plan: Plan, found: Leaving, *, profile: Profile, topology: Topology) -> Estimate:
    """The estimate of a plan whose samples leave as found, and not as the profile's exit table has it."""
    costs = Work.of(profile.encoded(plan.codec)).on(topology)
    check_plan(plan, blocks=len(profile.backbone.blocks), topology=topology)
    return terms(plan.ends, [topology.index(name) for name in plan.placement], found, costs)
