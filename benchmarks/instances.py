"""Made-up planning problems of any size, the same for the same seed.

They have the shapes of real ones: deeper branches are more accurate and surer, activations shrink in three stages,
tiers get faster towards the cloud, links are between 0.3 Mb/s and 1 Gb/s.
"""

import numpy as np

from offramp.core.backbone import Backbone, Block
from offramp.core.exit_table import ExitTable
from offramp.core.profile import ExitRates, Meaning, Profile
from offramp.core.timing import Timing
from offramp.core.topology import Link, Tier, Topology


def problem(*, blocks: int, tiers: int, thresholds: int, samples: int = 0, seed: int = 0) -> tuple[Profile, Topology]:
    """A profile and a topology; with an exit table where `samples` is given, else with first-exit rates."""
    random = np.random.default_rng(seed)
    depth = np.arange(1, blocks + 1) / blocks
    levels = np.round(np.linspace(0, 0.95, thresholds), 4)
    backbone = Backbone(
        name=f"made-up-{blocks}",
        dataset="made-up",
        input_bits=24576,
        result_bits=320,
        blocks=tuple(Block(f"block{i + 1}", 524288 >> (3 * i // blocks)) for i in range(blocks)),
    )
    timing = Timing(
        block_s=random.uniform(0.8, 1.2, blocks) * 0.03 / blocks,
        branch_s=np.full(blocks, 1e-4),
        partition_s=None,
        serialize_s=np.zeros(blocks + 2),
        deserialize_s=np.zeros(blocks + 2),
    )
    left = np.clip(levels[:, None] ** (1.5 / (depth + 0.3)), 0, 1)
    left[:, -1] = 1
    exits = ExitRates(
        thresholds=levels,
        meaning=Meaning.FIRST_EXIT,
        exit_rate=np.diff(left, axis=1, prepend=0),
        accuracy=np.clip(0.4 + 0.55 * (1 - np.exp(-3 * depth)) + random.normal(0, 0.005, blocks), 0, 1),
        samples=5000,
    )
    table = None
    if samples:
        hardness = random.normal(size=samples)
        sureness = 3 * np.sqrt(depth)[:, None] - 1.2 * hardness + 0.7 * random.normal(size=(blocks, samples))
        table = ExitTable(
            scores=1 / (1 + np.exp(sureness - 0.5)),
            correct=random.random((blocks, samples)) < 1 / (1 + np.exp(-2 * sureness - 1)),
            label=np.zeros(samples, np.int64),
        )
    slowdowns = np.sort(np.exp(random.uniform(0, np.log(500), tiers)))[::-1]
    topology = Topology(
        name=f"made-up-{tiers}",
        source="tier1",
        destination="tier1",
        tiers=tuple(Tier(f"tier{j + 1}", float(slowdown)) for j, slowdown in enumerate(slowdowns / slowdowns[-1])),
        links=tuple(
            Link(float(10 ** random.uniform(5.5, 9)), float(random.uniform(0.002, 0.06))) for _ in range(tiers - 1)
        ),
    )
    return Profile(backbone, {"reference": timing}, "reference", exits, table), topology
