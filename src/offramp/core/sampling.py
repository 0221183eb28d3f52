"""Plans drawn at random."""

from collections.abc import Sequence

import numpy as np

from offramp.core.codec import Codec, InputCodec
from offramp.core.plan import Plan


def random_plan(
    rng: np.random.Generator,
    *,
    partitions: int,
    blocks: int,
    tiers: Sequence[str],
    thresholds: Sequence[float],
    exits_per_tier: int = 1,
    threshold_per_exit: bool = False,
    codecs: Sequence[Codec] = (Codec.FP32,),
    input_codecs: Sequence[InputCodec] = (InputCodec.RAW,),
    source: str | None = None,
) -> Plan:
    """A plan of so many partitions: any cuts, any end, tiers in any order, a threshold, a codec.

    partitions: at most `blocks`, and at most `exits_per_tier` for each of the tiers.
    blocks: how many the backbone has.
    tiers: names of those to place partitions on.
    thresholds, codecs, input_codecs: to draw from.
    source: the tier that inputs arise on: a plan that begins there sends none.
    exits_per_tier, threshold_per_exit: as in `Constraints`.
    """
    ends = np.sort(rng.choice(blocks, partitions, replace=False)) + 1
    fewest = -(-partitions // exits_per_tier)
    visited = int(rng.integers(fewest, min(partitions, len(tiers)) + 1))
    counts = np.ones(visited, np.int64)
    for _ in range(partitions - visited):
        counts[rng.choice(np.flatnonzero(counts < exits_per_tier))] += 1
    drawn = rng.choice(thresholds, partitions - 1 if threshold_per_exit else 1)
    placement = tuple(tiers[j] for j in np.repeat(rng.permutation(len(tiers))[:visited], counts).tolist())
    input_codec = input_codecs[int(rng.integers(len(input_codecs)))] if len(input_codecs) > 1 else input_codecs[0]
    return Plan(
        ends=tuple(ends.tolist()),
        placement=placement,
        thresholds=tuple(np.broadcast_to(drawn, partitions - 1).tolist()),
        codec=codecs[int(rng.integers(len(codecs)))],
        input_codec=InputCodec.RAW if placement[0] == source else input_codec,
    )
